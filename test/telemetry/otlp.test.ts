/** A real server process that exports to a receiver in this one. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import { type TestContext, test } from "node:test";
import { ways } from "../rpc/fixtures.ts";
import { echo, exchange, follow, json, newChannel } from "../rpc/jobs.ts";
import { clientAt, makePlace } from "../server/place.ts";

/** A span as OTLP/HTTP carries it in JSON. */
type Span = {
  readonly name: string;
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId?: string;
  readonly startTimeUnixNano: string;
  readonly endTimeUnixNano: string;
  readonly status: { readonly code?: number; readonly message?: string };
  readonly attributes: readonly { readonly key: string; readonly value: { readonly [type: string]: unknown } }[];
};
type Traces = {
  readonly resourceSpans: readonly { readonly scopeSpans: readonly { readonly spans: readonly Span[] }[] }[];
};

async function openReceiver(t: TestContext) {
  const spans: Span[] = [];
  const paths: string[] = [];
  const receive = async (request: IncomingMessage): Promise<void> => {
    paths.push(request.url ?? "");
    const parts: Buffer[] = [];
    for await (const part of request) parts.push(part as Buffer);
    const { resourceSpans } = JSON.parse(Buffer.concat(parts).toString()) as Traces;
    spans.push(...resourceSpans.flatMap(({ scopeSpans }) => scopeSpans).flatMap((scope) => scope.spans));
  };
  const server = createServer((request, response) => {
    void receive(request).then(() => response.setHeader("content-type", "application/json").end("{}"));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return { spans, paths, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` };
}

const traceId = "0af7651916cd43dd8448eb211c80319c";
const callerId = "b7ad6b7169203331";
const traceparent = `00-${traceId}-${callerId}-01`;
const one = (spans: readonly Span[], name: string, trace: string): Span => {
  const found = spans.filter((span) => span.name === name && span.traceId === trace);
  assert.equal(found.length, 1, `${name} of ${trace}`);
  return found[0]!;
};
const attribute = (span: Span, key: string) =>
  Object.values(span.attributes.find((each) => each.key === key)?.value ?? {})[0];

test("a job's spans continue its caller's trace and are exported before the process ends", async (t) => {
  const receiver = await openReceiver(t);
  const { start } = await makePlace(t);
  const env = {
    OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url,
    OTEL_EXPORTER_OTLP_PROTOCOL: "http/json",
    OTEL_METRICS_EXPORTER: "none",
  };
  const server = await start([], env);
  const client = clientAt(server);
  const channel = newChannel();
  const before = Date.now();
  await client.submit({ jobs: [echo("traced", { channel })] }, { headers: { traceparent } });
  const fails = { task: "fail", input: json({ message: "no luck" }), channel };
  const [ownTrace, ownParent] = ["1".repeat(32), "2".repeat(16)];
  const stream = exchange(clientAt(server, ways.grpc), { channel: newChannel() });
  stream.submit(1, [{ ...fails, channel: "" }], `00-${ownTrace}-${ownParent}-01`);
  stream.end();
  await stream.rest();
  const [result] = await follow(client, { channel }, 1);
  assert.equal((await server.signal("SIGTERM")).code, 0);
  const after = Date.now();

  const { spans } = receiver;
  assert.ok(receiver.paths.every((path) => path === "/v1/traces"));
  const submit = one(spans, "submit", traceId);
  assert.equal(submit.parentSpanId, callerId);
  for (const name of ["queue wait", "attempt"]) {
    const span = one(spans, name, traceId);
    assert.equal(span.parentSpanId, submit.spanId);
    assert.equal(attribute(span, "messaging.message.id"), result?.jobId);
    const [begun, ended] = [Number(span.startTimeUnixNano) / 1e6, Number(span.endTimeUnixNano) / 1e6];
    assert.ok(begun >= before - 1 && begun <= ended && ended <= after + 1, `${name}: ${begun} to ${ended}`);
  }
  assert.equal(attribute(one(spans, "attempt", traceId), "millpond.outcome"), "succeeded");

  assert.equal(one(spans, "submit", ownTrace).parentSpanId, ownParent);
  const failed = one(spans, "attempt", ownTrace);
  assert.equal(failed.parentSpanId, one(spans, "submit", ownTrace).spanId);
  assert.deepEqual(failed.status, { code: 2, message: "no luck" });
});

test("without the standard variables nothing is exported, and the caller's trace is passed on untouched", async (t) => {
  const receiver = await openReceiver(t);
  const { start } = await makePlace(t);
  // an endpoint alone would turn traces on: these say that they are off
  const server = await start([], {
    OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url,
    OTEL_TRACES_EXPORTER: "none",
    OTEL_METRICS_EXPORTER: "none",
  });
  const client = clientAt(server);
  const channel = newChannel();
  await client.submit({ jobs: [echo("untraced", { channel })] }, { headers: { traceparent } });
  await follow(client, { channel }, 1);
  await server.signal("SIGTERM");

  assert.deepEqual(receiver.paths, []);
});
