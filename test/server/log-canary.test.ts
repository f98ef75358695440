import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { inspect } from "node:util";
import { openReceiver } from "../telemetry/receiver.ts";
import { makePlace } from "./place.ts";

const canary = "c4n4ry";
const urlOf = (path: string) => JSON.stringify(new URL(path, import.meta.url).href);

/** Fails in ways that the server words itself: what a task throws, or logs as text, is the task's own. */
const badTask = `
import { defineTask } from ${urlOf("../../src/pool/task.ts")};
import { FailOutputSchema } from ${urlOf("../../src/gen/millpond/tasks/v1/diagnostic_pb.ts")};
export default (name) => defineTask({
  name,
  pool: "held",
  retry: { maxAttempts: 1 },
  ...(name === "typed" && { output: FailOutputSchema }),
  run({ how, secret }, ctx) {
    ctx.log.info("asked", { apiKey: secret, headers: { Cookie: secret } });
    if (how === "exit") process.exit(3);
    if (how === "large") return secret.repeat(1_000_000);
    if (how === "wide") return secret.repeat(3_000).split("n");
    if (how === "circle") { const circle = { secret }; circle.self = circle; return circle; }
    if (how === "function") return { [secret]: () => secret };
    if (how === "type") return { attempt: secret, message: secret };
    if (how === "field") return { [secret]: secret };
    for (;;) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 10);
  },
});`;

test("no input, output, label or metadata stands in the log or in a span, whatever goes wrong", async (t) => {
  const place = await makePlace(t);
  await writeFile(join(place.folder, "bad.mjs"), badTask);
  for (const name of ["bad", "typed"]) {
    const text = `import make from "../bad.mjs";\nexport default make("${name}");\n`;
    await writeFile(join(place.folder, "tasks", `${name}.mjs`), text);
  }
  const settings = ["--log-level", "debug", "--grace-ms", "50", "--limits-values", "1000", "--rate-burst", "1000"];
  const receiver = await openReceiver(t);
  const server = await place.start(settings, {
    ...{ OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url, OTEL_METRICS_EXPORTER: "none", OTEL_TRACES_SAMPLER: "always_on" },
  });
  const call = async (method: string, body: unknown, headers: Record<string, string> = {}) => {
    const answer = await fetch(`http://${server.serving.http}/millpond.v1.WorkerPoolService/${method}`, {
      method: "POST",
      headers: {
        ...{ "content-type": "application/json", authorization: `Bearer ${canary}`, cookie: `session=${canary}` },
        ...{
          traceparent: `00-${canary}-00f067aa0ba902b7-01`,
          tracestate: canary,
          baggage: `who=${canary}`,
          ...headers,
        },
      },
      body: typeof body === "string" ? body : JSON.stringify(body),
    });
    return answer.text();
  };
  const labels = { owner: canary };
  const run = (task: string, input: unknown, more: object = {}) =>
    call("Run", { job: { task, input, labels, ...more } });
  const json = (how: string) => ({ json: { how, secret: canary } });

  // jobs that succeed, are refused, and end in every way
  assert.match(await run("echo", json("")), new RegExp(canary));
  await run("echo", { data: Buffer.from(canary).toString("base64") });
  await run("sleep", { json: { durationMs: canary } });
  await run("sleep", { json: { [canary]: 1 } });
  await run("fail", { json: { reason: canary.toUpperCase() } });
  await run("image.resize", { json: { data: Buffer.from(canary).toString("base64"), width: 1 } });
  await run("nosuch", json(""));
  await run("echo", json(""), { idempotencyKey: canary.repeat(100) });
  await run("echo", { json: Array.from({ length: 2000 }, () => canary) });
  for (const how of ["exit", "large", "wide", "circle", "function"]) await run("bad", json(how));
  for (const how of ["type", "field"]) await run("typed", json(how));
  await run("bad", json("block"), { timeout: "0.1s" });
  await run("bad", json("block"), { expiresAt: new Date(Date.now() + 500).toISOString() });
  // requests that are none
  await call("Run", `{"job": {"task": "echo", "input": {"json": ${canary}`);
  await call("Run", `{"job": {"${canary}": 1}}`);
  await call("Submit", `{"jobs": "${canary}"}`);
  await call("Run", canary, { "content-type": `application/${canary}` });
  await call("Run", Buffer.from(canary).toString("base64"), { "content-type": "application/grpc-web-text" });
  await call("Run", canary, { "content-type": "application/grpc-web+proto" });
  await call("Run", canary, { "content-encoding": "gzip" });
  await call("Results", `\0\0\0\0\x20${canary}`, { "content-type": "application/connect+json" });
  await call("Run", "{}", { "x-large": canary.repeat(5_000) }).catch(() => undefined);
  await call("Run", "{}", { "millpond-client": `${canary} ${canary}` });

  const { stderr } = await server.signal("SIGTERM");
  const lines = stderr
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line) as { [name: string]: unknown });
  assert.deepEqual(
    lines.filter((line) => JSON.stringify(line).includes(canary)),
    [],
  );
  assert.deepEqual(
    receiver.spans.filter((span) => inspect(span, { depth: null }).includes(canary)),
    [],
  );
  assert.ok(receiver.spans.some(({ attributes }) => attributes["error.type"] === "bad_output"));
  assert.ok(receiver.spans.some(({ name, isError }) => name === "submit" && isError));
  const died = lines.filter(({ msg }) => msg === "a job died");
  assert.ok(died.length >= 8, `${died.length} jobs died`);
  const aboutJobs = lines.filter(({ job }) => job !== undefined);
  assert.ok(aboutJobs.some(({ msg }) => msg === "a job did not stop when it was asked to: its worker is terminated"));
  assert.ok(aboutJobs.some(({ msg }) => msg === "a job threw an error that was not caught, and its worker is ended"));
  const traces = new Map<unknown, unknown>();
  for (const { job, trace_id, span_id, trace_flags } of aboutJobs) {
    assert.match(`${String(trace_id)} ${String(span_id)} ${String(trace_flags)}`, /^[0-9a-f]{32} [0-9a-f]{16} 01$/);
    assert.equal(trace_id, traces.get(job) ?? trace_id, "one job, one trace");
    traces.set(job, trace_id);
  }
});
