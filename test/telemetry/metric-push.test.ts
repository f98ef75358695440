/** Metrics over OTLP, to a collector in this process: from a server process, where it is about its numbers, else from here. */
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { Server, ServerCredentials } from "@grpc/grpc-js";
import { systemClock } from "../../src/clock.ts";
import { prometheusName } from "../../src/metrics/prometheus.ts";
import { createRegistry } from "../../src/metrics/registry.ts";
import { metrics } from "../../src/metrics/table.ts";
import { startMetricPush } from "../../src/telemetry/metric-push.ts";
import { readVariables } from "../../src/telemetry/variables.ts";
import { parseExposition, valueOf } from "../metrics/exposition.ts";
import { echo, follow, json, newChannel } from "../rpc/jobs.ts";
import { refused } from "../rpc/refused.ts";
import { clientAt, makePlace } from "../server/place.ts";
import { keptLog } from "../support/samples.ts";
import { bodyOf, metricsOf, openMetricReceiver, sentValue } from "./metric-receiver.ts";

const often = { OTEL_METRIC_EXPORT_INTERVAL: "100", OTEL_TRACES_EXPORTER: "none" };

test("Stats, /metrics and OTLP say the same of known work", async (t) => {
  const receiver = await openMetricReceiver(t);
  const { start } = await makePlace(t);
  const env = { ...often, OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url, OTEL_EXPORTER_OTLP_PROTOCOL: "http/json" };
  const server = await start([], env);
  const client = clientAt(server);
  const channel = newChannel();
  const key = { idempotencyKey: "once" };
  await client.submit({ jobs: [echo(1, { channel }), echo(2, { channel }), echo(3, { channel, ...key })] });
  await client.submit({ jobs: [echo(3, { channel, ...key })] });
  const fails = { task: "fail", input: json({ message: "no luck", retryable: true }), channel };
  await client.submit({ jobs: [{ ...fails, retry: { maxAttempts: 2, base: { nanos: 1_000_000 } } }] });
  const later = { start: { case: "delay" as const, value: { seconds: 3600n } } };
  const { receipts } = await client.submit({ jobs: [echo(4, { channel, ...later }), echo(5, { channel, ...later })] });
  await client.cancelJobs({ jobIds: [receipts[0]?.receipt.value as string] });
  await follow(client, { channel }, 5);
  const reason = "unknown_task";
  await refused(client.submit({ jobs: [{ task: "no.such.task" }] })); // the last to be counted

  const { snapshot } = await client.stats({});
  const tasks = new Map(snapshot?.tasks.map((task) => [task.task, task]));
  const [echoed, failed] = [tasks.get("echo"), tasks.get("fail")];
  const own = snapshot?.client;
  const pool = snapshot?.pools.find((each) => each.pool === echoed?.pool);
  assert.ok(echoed && failed && own && pool);
  assert.equal(own.duplicates, 1n);
  assert.deepEqual([own.accepted, own.refused, own.succeeded, own.dead, own.cancelled], [6n, 1n, 3n, 1n, 1n]);

  const ofEcho = { task: "echo", pool: echoed.pool };
  const ofFail = { task: "fail", pool: failed.pool };
  const expected: readonly [name: string, attributes: { [name: string]: string }, value: number, stats: bigint][] = [
    ["millpond.jobs.admitted", { ...ofEcho, outcome: "accepted" }, 5, echoed.accepted],
    ["millpond.jobs.admitted", { ...ofEcho, outcome: "duplicate" }, 1, own.duplicates],
    ["millpond.jobs.admitted", { ...ofFail, outcome: "accepted" }, 1, failed.accepted],
    ["millpond.jobs.refused", { reason }, 1, own.refusedBy[0]?.jobs ?? 0n],
    ["millpond.jobs.finished", { ...ofEcho, state: "succeeded" }, 3, echoed.succeeded],
    ["millpond.jobs.finished", { ...ofEcho, state: "cancelled" }, 1, echoed.cancelled],
    ["millpond.jobs.finished", { ...ofFail, state: "dead" }, 1, failed.dead],
    ["millpond.jobs.dead", { ...ofFail, reason: "exhausted" }, 1, own.dead],
    ["millpond.attempts", { ...ofEcho, outcome: "succeeded" }, 3, echoed.succeeded],
    ["millpond.attempts", { ...ofFail, outcome: "failed" }, 2, failed.failed],
    ["millpond.retries", ofFail, 1, failed.retries],
    ["millpond.queue.depth", { pool: pool.pool }, 1, pool.queued],
    ["millpond.queue.limit", { pool: pool.pool }, Number(pool.maxQueued), pool.maxQueued],
    ["millpond.jobs.running", { pool: pool.pool }, 0, BigInt(pool.running)],
    ["millpond.pool.workers", { pool: pool.pool }, pool.workers, BigInt(pool.workers)],
    ["millpond.jobs.stored", { pool: pool.pool, state: "succeeded" }, 3, pool.succeeded],
    ["millpond.queue.wait", ofEcho, 3, echoed.succeeded],
    ["millpond.attempt.duration", ofFail, 2, failed.failed],
    ["millpond.job.duration", ofEcho, 3, echoed.succeeded],
  ];
  const push = await receiver.pushed((each) => sentValue(each, "millpond.jobs.refused", { reason }) === 1);
  const text = await (await fetch(`http://${server.serving.http}/metrics`)).text();
  const families = parseExposition(text);
  for (const [name, attributes, value, inStats] of expected) {
    const what = `${name} ${JSON.stringify(attributes)}`;
    const suffix = metrics.find((each) => each.name === name)?.kind === "histogram" ? "_count" : "";
    assert.equal(Number(inStats), value, `${what} in Stats`);
    assert.equal(valueOf(families, scraped(name) + suffix, attributes), value, `${what} in /metrics`);
    assert.equal(sentValue(push, name, attributes), value, `${what} over OTLP`);
  }
  const pushed = new Set([...metricsOf(push).keys()].map(scraped));
  // those of the disk and of the process may have their first value between the two
  const missing = [...families.keys()].filter((name) => /^millpond_(?!disk)/.test(name) && !pushed.has(name));
  assert.deepEqual(missing, []);

  const { resource, scopeMetrics } = bodyOf(push).resourceMetrics[0]!;
  assert.ok(
    resource.attributes.some(({ key: name, value }) => name === "service.name" && value.stringValue === "millpond"),
  );
  assert.ok(resource.attributes.some(({ key: name }) => name === "service.instance.id"));
  assert.equal(scopeMetrics[0]?.scope.name, "millpond");
  const cumulative = 2;
  assert.equal(metricsOf(push).get("millpond.jobs.admitted")?.sum?.aggregationTemporality, cumulative);
  assert.equal(metricsOf(push).get("millpond.jobs.admitted")?.sum?.isMonotonic, true);
  const waits = metricsOf(push).get("millpond.queue.wait")?.histogram?.dataPoints[0];
  assert.ok(waits && waits.bucketCounts.length === waits.explicitBounds.length + 1);
  assert.equal(
    waits.bucketCounts.reduce<number>((sum, count) => sum + Number(count), 0),
    Number(waits.count),
  );
  assert.ok(BigInt(waits.startTimeUnixNano) < BigInt(waits.timeUnixNano));

  await client.submit({ jobs: [echo(6, { channel })] });
  await follow(client, { channel }, 6);
  assert.equal((await server.signal("SIGTERM")).code, 0);
  assert.equal(
    sentValue(receiver.pushes.at(-1)!, "millpond.job.duration", ofEcho),
    4,
    "what came last is pushed at the end",
  );
});

const scraped = (name: string) => prometheusName(metrics.find((each) => each.name === name)!);

/** Pushes from this process. The exporters read their endpoint from its environment. */
async function open(t: TestContext, given: { readonly [name: string]: string }) {
  const env = { ...often, ...given };
  const before = { ...process.env };
  Object.assign(process.env, env);
  t.after(() => {
    for (const name of Object.keys(env)) delete process.env[name];
    Object.assign(process.env, before);
  });
  const registry = createRegistry(systemClock);
  registry.counter("millpond.jobs.redriven", { pool: "cpu" }).value = 3;
  const { log, lines } = keptLog();
  const { metrics: settings, resource } = readVariables(env);
  const parts = { registry, resource, version: "1", instance: "one", clock: systemClock, log };
  const stop = await startMetricPush(settings, parts);
  t.after(stop);
  return { stop, lines, failures: () => registry.counter("millpond.metric.failed_exports").value };
}

test("OTLP goes out as protobuf over HTTP unless something else is asked for", async (t) => {
  const receiver = await openMetricReceiver(t);
  const { stop } = await open(t, { OTEL_EXPORTER_OTLP_METRICS_ENDPOINT: `${receiver.url}/own/path` });
  const push = await receiver.pushed(({ body }) => body.includes("millpond.jobs.redriven"));
  assert.deepEqual([push.path, push.contentType], ["/own/path", "application/x-protobuf"]);
  await stop();
});

test("OTLP goes out over gRPC", async (t) => {
  const collector = await openGrpcCollector(t);
  const env = { OTEL_EXPORTER_OTLP_ENDPOINT: collector.url, OTEL_EXPORTER_OTLP_PROTOCOL: "grpc" };
  const { stop, failures } = await open(t, env);
  await stop(); // pushes once more
  assert.ok(collector.pushes.some((body) => body.includes("millpond.jobs.redriven")));
  assert.equal(failures(), 0);
});

async function openGrpcCollector(t: TestContext) {
  const pushes: Buffer[] = [];
  const server = new Server();
  const asIs = (bytes: Buffer) => bytes;
  const codec = {
    requestSerialize: asIs,
    requestDeserialize: asIs,
    responseSerialize: asIs,
    responseDeserialize: asIs,
  };
  const path = "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export";
  server.addService(
    { export: { path, requestStream: false, responseStream: false, ...codec } },
    {
      export(call: { readonly request: Buffer }, answer: (error: null, bytes: Buffer) => void) {
        pushes.push(call.request);
        answer(null, Buffer.alloc(0));
      },
    },
  );
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, bound) =>
      error ? reject(error) : resolve(bound),
    );
  });
  t.after(() => server.forceShutdown());
  return { pushes, url: `http://127.0.0.1:${port}` };
}

test("a collector that is away is counted, logged, and holds up no stop", async (t) => {
  const nobody = { OTEL_EXPORTER_OTLP_ENDPOINT: "http://127.0.0.1:9", OTEL_EXPORTER_OTLP_TIMEOUT: "150" };
  const { stop, lines, failures } = await open(t, nobody);
  await stop();
  assert.ok(failures() >= 1);
  assert.deepEqual(
    lines.map(({ level, text }) => [level, text]),
    [["warn", "the collector does not accept metrics"]],
  );
});

test("a collector that takes traces only is named once, with what to do", async (t) => {
  const receiver = await openMetricReceiver(t, 404);
  const { stop, lines, failures } = await open(t, { OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url });
  await receiver.pushed(() => true);
  await stop();
  assert.ok(receiver.pushes.length >= 2);
  assert.equal(failures(), receiver.pushes.length);
  assert.equal(lines.length, 1);
  assert.match(lines[0]?.text ?? "", /the collector has no service for metrics.*OTEL_METRICS_EXPORTER=none/);
});

test("without the standard variables nothing is pushed", async (t) => {
  const receiver = await openMetricReceiver(t);
  const { stop } = await open(t, { OTEL_METRICS_EXPORTER: "none", OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url });
  await stop();
  assert.deepEqual(receiver.pushes, []);
});
