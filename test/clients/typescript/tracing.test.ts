import assert from "node:assert/strict";
import { AsyncLocalStorage } from "node:async_hooks";
import { beforeEach, suite, test } from "node:test";
import { type Context, context, propagation, ROOT_CONTEXT, SpanKind, SpanStatusCode, trace } from "@opentelemetry/api";
import { InMemorySpanExporter, type ReadableSpan, SimpleSpanProcessor, TracerProvider } from "@opentelemetry/sdk-trace";
import { echo, job } from "../../../clients/typescript/index.ts";
import { createTracing, maxOpen } from "../../../clients/typescript/tracing.ts";
import type { JobSpec } from "../../../src/gen/millpond/v1/job_pb.ts";
import type { RunRequest } from "../../../src/gen/millpond/v1/worker_pool_pb.ts";
import { bareStatus, numbers, refused, start, status, until } from "./fixtures.ts";

const exporter = new InMemorySpanExporter();
const storage = new AsyncLocalStorage<Context>();
context.setGlobalContextManager({
  active: () => storage.getStore() ?? ROOT_CONTEXT,
  with: (active, code, self, ...args) => storage.run(active, () => code.apply(self, args)),
  bind: (_, target) => target,
  enable: () => assert.fail(),
  disable: () => assert.fail(),
});
trace.setGlobalTracerProvider(new TracerProvider({ spanProcessors: [new SimpleSpanProcessor({ exporter })] }));
propagation.setGlobalPropagator({
  inject: (active, carrier) => {
    const entries = propagation.getBaggage(active)?.getAllEntries() ?? [];
    Object.assign(carrier as object, { baggage: entries.map(([key, { value }]) => `${key}=${value}`).join() });
  },
  extract: (active) => active,
  fields: () => ["baggage"],
});
beforeEach(() => exporter.reset());

const tracer = trace.getTracer("a program");
const given = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

const jobSpans = () => exporter.getFinishedSpans().filter(({ name }) => name.endsWith(" job"));
const traceparentOf = (span: ReadableSpan) => {
  const { traceId, spanId } = span.spanContext();
  return `00-${traceId}-${spanId}-01`;
};

/** Runs code within a span of the program, and gives that span's ids. */
async function within<T>(code: () => Promise<T>) {
  const span = tracer.startSpan("the program's own");
  const given = await context.with(trace.setSpan(context.active(), span), code);
  span.end();
  return { given, ...span.spanContext() };
}

const succeeded = ({ job }: RunRequest) => ({ result: { jobId: job?.id, task: job?.task, state: 3, attempts: 1 } });

suite("in a program that has registered an OpenTelemetry SDK", () => {
  test("run makes one span for the job below the active one, and the server continues from it", async (t) => {
    const sent: JobSpec[] = [];
    const run = (request: RunRequest) => {
      sent.push(request.job!);
      return succeeded(request);
    };
    const { client, server } = await start(t, { onUnary: { run } }, { client: "me" });
    const { traceId, spanId } = await within(() => client.run("echo", 1));
    const [span, ...others] = jobSpans();
    assert.deepEqual(others, []);
    assert.deepEqual([span!.name, span!.kind, span!.status.code], ["echo job", SpanKind.CLIENT, SpanStatusCode.UNSET]);
    assert.deepEqual([span!.spanContext().traceId, span!.parentSpanContext?.spanId], [traceId, spanId]);
    assert.equal(sent[0]?.traceContext?.traceparent, traceparentOf(span!));
    const [host, port] = server.address.split(":");
    assert.deepEqual(span!.attributes, {
      ...{ "messaging.system.name": "millpond", "messaging.client.id": "me", "messaging.message.id": sent[0]?.id },
      ...{
        "server.address": host,
        "server.port": Number(port),
        "millpond.task": "echo",
        "millpond.state": "SUCCEEDED",
      },
    });
  });

  test("of an older version than the client's own too: spans, parent and baggage are the same", async (t) => {
    const sent: JobSpec[] = [];
    const run = (request: RunRequest) => {
      sent.push(request.job!);
      return succeeded(request);
    };
    const { client } = await start(t, { onUnary: { run } });
    const parent = tracer.startSpan("the program's own");
    const baggage = propagation.createBaggage({ user: { value: "ada" } });
    const active = propagation.setBaggage(trace.setSpan(ROOT_CONTEXT, parent), baggage);
    const global = globalThis as { [key: symbol]: unknown };
    const key = Symbol.for("opentelemetry.js.api.1");
    const registered = global[key] as object;
    global[key] = { ...registered, version: "1.0.0" };
    t.after(() => {
      global[key] = registered;
    });
    assert.equal(context.active(), ROOT_CONTEXT, "the copy here, as the client's, finds nothing of an older one");
    await storage.run(active, () => client.run("echo", 1));
    const [span] = jobSpans();
    assert.equal(span?.parentSpanContext?.spanId, parent.spanContext().spanId);
    assert.deepEqual(
      [sent[0]?.traceContext?.traceparent, sent[0]?.traceContext?.baggage],
      [traceparentOf(span), "user=ada"],
    );
  });

  for (const [how, state, failure] of [
    ["died", 4, { reason: "nope", message: "no way" }],
    ["was cancelled", 5, { reason: "cancelled", message: "the job is CANCELLED" }],
  ] as const) {
    test(`the span of a job that ${how} says so`, async (t) => {
      const said = state === 4 ? { failure } : {};
      const { client } = await start(t, { onUnary: { run: () => ({ result: { jobId: "x", state, ...said } }) } });
      await client.run("fail", {});
      const [span] = jobSpans();
      assert.deepEqual(span!.status, { code: SpanStatusCode.ERROR, message: failure.message });
      assert.equal(span!.attributes["error.type"], failure.reason);
    });
  }

  test("the span of a job that is refused, or whose call fails, says so", async (t) => {
    const refuse = (code: number, reason: string) => () => {
      throw status({ code, reason, message: "no" });
    };
    const onUnary = { run: refuse(3, "invalid_argument"), submit: refuse(5, "unknown_task") };
    const { client } = await start(t, { onUnary, receipt: () => refused("unknown_task") });
    await assert.rejects(client.run("echo", 1));
    await assert.rejects(client.submit("echo", 1));
    await Array.fromAsync(client.map("echo", [1]));
    assert.deepEqual(
      jobSpans().map(({ attributes, status: { code } }) => [attributes["error.type"], code]),
      ["invalid_argument", "unknown_task", "unknown_task"].map((reason) => [reason, SpanStatusCode.ERROR]),
    );
  });

  test("a call that is tried again is one span, under which the same job is sent", async (t) => {
    const sent: JobSpec[] = [];
    const run = (request: RunRequest) => {
      sent.push(request.job!);
      if (sent.length < 3) throw bareStatus(14, "gone");
      return succeeded(request);
    };
    const { client } = await start(t, { onUnary: { run } });
    await client.run("echo", 1);
    const spans = jobSpans();
    assert.equal(spans.length, 1);
    assert.deepEqual(
      sent.map(({ traceContext }) => traceContext?.traceparent),
      Array(3).fill(traceparentOf(spans[0]!)),
    );
  });

  test("submit and submitAll make one span for each job, which ends with its receipt; the jobs stay as they were", async (t) => {
    const { client, server } = await start(t);
    const jobs = [job("a", 1), job("b", 2)];
    await client.submitAll(jobs);
    await client.submit("c", 3);
    assert.deepEqual(
      jobSpans().map((span) => [span.name, traceparentOf(span)]),
      [...server.jobs.values()].map(({ task, traceContext }) => [`${task} job`, traceContext?.traceparent]),
    );
    assert.deepEqual(
      jobs.map(({ spec }) => spec.traceContext),
      [undefined, undefined],
    );
  });

  test("map makes one span for each input, also over a lost connection, and each ends with its result", async (t) => {
    const { client, server } = await start(t, { completes: () => false });
    const { traceId } = await within(async () => {
      const done = Array.fromAsync(client.map(echo, numbers(20)));
      await until(() => server.jobs.size === 20);
      for (const stream of server.streams) stream.fail(14);
      await until(() => server.opens.length === 2);
      assert.deepEqual(jobSpans(), []);
      for (const id of server.jobs.keys()) server.complete(id);
      await done;
    });
    const spans = jobSpans();
    assert.equal(spans.length, 20);
    assert.ok(spans.every((span) => span.spanContext().traceId === traceId));
    const sent = new Set([...server.jobs.values()].map(({ traceContext }) => traceContext?.traceparent));
    assert.deepEqual(new Set(spans.map(traceparentOf)), sent);
  });

  test("without an active span each input has a trace of its own", async (t) => {
    const { client } = await start(t);
    await Array.fromAsync(client.map(echo, numbers(5)));
    assert.equal(new Set(jobSpans().map((span) => span.spanContext().traceId)).size, 5);
  });

  test("the spans of a loop that is left end with it, and say that nobody knows how their jobs ended", async (t) => {
    const { client } = await start(t, { completes: ({ id }) => id.endsWith("1") });
    const id = (input: number) => `0198a3b4-0000-7000-8000-00000000000${input}`;
    for await (const _ of client.map(echo, [1, 2, 3], { id, channel: "c" })) break;
    assert.deepEqual(
      jobSpans().map(({ attributes }) => attributes["error.type"]),
      [undefined, "abandoned", "abandoned"],
    );
  });

  test("an explicit context takes the place of the active span, and one that is malformed does not", async (t) => {
    const { client, server } = await start(t);
    const baggage = "customer=17";
    const traced = { traceparent: given, tracestate: "vendor=1", baggage };
    const { spanId } = await within(async () => {
      await client.submit("echo", 1, { trace: traced });
      await client.submit("echo", 2, { trace: { traceparent: "00-nonsense" } });
    });
    const [explicit, malformed] = jobSpans();
    assert.equal(explicit!.spanContext().traceId, given.slice(3, 35));
    assert.equal(explicit!.parentSpanContext?.spanId, given.slice(36, 52));
    assert.equal(malformed!.parentSpanContext?.spanId, spanId);
    const { traceparent, tracestate, ...sent } = [...server.jobs.values()][0]!.traceContext!;
    assert.deepEqual([traceparent, tracestate, sent.baggage], [traceparentOf(explicit!), "vendor=1", baggage]);
  });

  test("the active baggage goes with the job", async (t) => {
    const { client, server } = await start(t);
    const active = propagation.setBaggage(context.active(), propagation.createBaggage({ customer: { value: "17" } }));
    await context.with(active, () => client.submit("echo", 1));
    assert.equal([...server.jobs.values()][0]!.traceContext?.baggage, "customer=17");
  });

  test("other calls carry the active context as metadata", async (t) => {
    const { client, server } = await start(t, { onUnary: { redriveJobs: () => ({}) } });
    const { traceId, spanId } = await within(() => client.redrive({ task: "echo" }));
    const [metadata] = server.metadata;
    assert.deepEqual(metadata?.get("traceparent"), [`00-${traceId}-${spanId}-01`]);
    assert.deepEqual([metadata.get("tracestate"), metadata.get("baggage")], [[], []]);
  });

  test("at most 10,000 spans of a client are open; jobs beyond stand below the active span", async () => {
    const { spec } = job("echo", 1);
    const { spanId } = await within(async () => {
      const jobs = (await createTracing("127.0.0.1:1", undefined).tracer())!;
      const open = Array.from({ length: maxOpen }, () => jobs.begin(spec));
      const beyond = jobs.begin(spec);
      const active = trace.getActiveSpan()!.spanContext();
      assert.equal(beyond.spec.traceContext?.traceparent, `00-${active.traceId}-${active.spanId}-01`);
      beyond.end({});
      open[0]!.end({});
      open[0]!.end({});
      const again = jobs.begin(spec);
      assert.notEqual(again.spec.traceContext?.traceparent, beyond.spec.traceContext?.traceparent);
      for (const each of [...open, again]) each.end({});
    });
    assert.equal(jobSpans().length, maxOpen + 1);
    assert.ok(jobSpans().every(({ parentSpanContext }) => parentSpanContext?.spanId === spanId));
  });
});
