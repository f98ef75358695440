import assert from "node:assert/strict";
import { registerHooks } from "node:module";
import { test } from "node:test";

const imported: string[] = [];
registerHooks({
  resolve(specifier, context, next) {
    imported.push(specifier);
    return next(specifier, context);
  },
});
const { echo, job } = await import("../../../clients/typescript/index.ts");
const { start } = await import("./fixtures.ts");

test("in a program without an OpenTelemetry SDK nothing of it is loaded, and jobs carry no trace but their own", async (t) => {
  const { client, server } = await start(t);
  const traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
  await Array.fromAsync(client.map(echo, [1, 2]));
  await client.submit("echo", 3);
  await client.submitAll([job("echo", 4, { trace: { traceparent } })]);
  const sent = [...server.jobs.values()].map(({ traceContext }) => traceContext?.traceparent);
  assert.deepEqual(sent, [undefined, undefined, undefined, traceparent]);
  assert.ok(imported.includes("@grpc/grpc-js"));
  assert.deepEqual(
    imported.filter((specifier) => specifier.includes("opentelemetry")),
    [],
  );
});

test("a trace that is no text is refused with its name", async (t) => {
  const { client } = await start(t);
  const trace = { traceparent: 7 } as never;
  await assert.rejects(client.submit("echo", 1, { trace }), {
    violations: [{ field: "trace.traceparent", description: "is 7 and must be a text" }],
  });
});
