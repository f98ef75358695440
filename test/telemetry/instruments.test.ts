import assert from "node:assert/strict";
import { afterEach, describe, test } from "node:test";
import { propagation, type Span, SpanKind, SpanStatusCode, trace } from "@opentelemetry/api";
import { createTracing, type TracedAttempt, type Tracing, untraced } from "../../src/telemetry/instruments.ts";

/** What the tracer was asked for, in the order in which spans ended. */
type Made = {
  readonly name: string;
  readonly kind: SpanKind | undefined;
  readonly traceId: string;
  readonly spanId: string;
  readonly parentId: string | undefined;
  readonly startTime: unknown;
  readonly endTime: unknown;
  readonly attributes: { readonly [key: string]: unknown };
  readonly status: { readonly code: SpanStatusCode; readonly message?: string } | undefined;
};

const traceparent = /^00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})$/;

/** A tracer that keeps what it makes, and passes contexts on as W3C asks. `isSampled`: what it decides for new traces. */
function register(isSampled = true): { readonly tracing: Tracing; readonly made: Made[]; started(): number } {
  const made: Made[] = [];
  let started = 0;
  const tracer = {
    startSpan(
      name: string,
      options: { kind?: SpanKind; startTime?: unknown; attributes?: object } = {},
      context = {} as never,
    ): Span {
      started += 1;
      const parent = trace.getSpanContext(context);
      const spanContext = {
        traceId: parent?.traceId ?? "a".repeat(32),
        spanId: started.toString(16).padStart(16, "0"),
        traceFlags: parent ? parent.traceFlags : Number(isSampled),
      };
      const attributes: { [key: string]: unknown } = { ...options.attributes };
      let status: Made["status"];
      const span = {
        spanContext: () => spanContext,
        setAttribute: (key: string, value: unknown) => ((attributes[key] = value), span),
        setAttributes: (more: object) => (Object.assign(attributes, more), span),
        setStatus: (given: Made["status"]) => ((status = given), span),
        end(endTime: unknown) {
          const { traceId, spanId } = spanContext;
          const { kind, startTime } = options;
          made.push({ name, kind, traceId, spanId, parentId: parent?.spanId, startTime, endTime, attributes, status });
        },
      };
      return span as unknown as Span;
    },
  };
  trace.setGlobalTracerProvider({ getTracer: () => tracer } as never);
  propagation.setGlobalPropagator({
    fields: () => ["traceparent"],
    inject(context, carrier, setter) {
      const span = trace.getSpanContext(context);
      if (span) setter.set(carrier, "traceparent", `00-${span.traceId}-${span.spanId}-0${span.traceFlags}`);
    },
    extract(context, carrier, getter) {
      const [, traceId, spanId, flags] = traceparent.exec(String(getter.get(carrier, "traceparent"))) ?? [];
      if (!traceId || !spanId || !flags) return context;
      return trace.setSpanContext(context, { traceId, spanId, traceFlags: Number.parseInt(flags, 16), isRemote: true });
    },
  });
  return { tracing: createTracing(), made, started: () => started };
}

afterEach(() => {
  trace.disable();
  propagation.disable();
});

const caller = `00-${"b".repeat(32)}-${"c".repeat(16)}-01`;
const attempt: TracedAttempt = {
  trace: caller,
  jobId: "job",
  client: "ada",
  task: "echo",
  pool: "cpu",
  attempt: 2,
  dueAt: 1_790_000_000_000,
  startedAt: 1_790_000_000_040,
  finishedAt: 1_790_000_000_100,
  outcome: "succeeded",
};

describe("submit", () => {
  test("is a producer span below the caller's, with the client and what became of the jobs", () => {
    const { tracing, made } = register();
    tracing.submit(caller, "ada").end({ accepted: 3, refused: 1 });
    const [span] = made;
    assert.equal(span?.name, "submit");
    assert.equal(span.kind, SpanKind.PRODUCER);
    assert.equal(span.traceId, "b".repeat(32));
    assert.equal(span.parentId, "c".repeat(16));
    assert.equal(span.attributes["messaging.client.id"], "ada");
    assert.equal(span.attributes["millpond.jobs.accepted"], 3);
    assert.equal(span.attributes["millpond.jobs.refused"], 1);
    assert.equal(span.status, undefined);
  });

  test("without a caller begins a trace", () => {
    const { tracing, made } = register();
    tracing.submit(null, "ada").end({ accepted: 1, refused: 0 });
    assert.equal(made[0]?.parentId, undefined);
  });

  test("gives its own context to the jobs", () => {
    const { tracing, made } = register();
    const span = tracing.submit(caller, "ada");
    span.end({ accepted: 1, refused: 0 });
    assert.equal(span.trace, `00-${"b".repeat(32)}-${made[0]?.spanId}-01`);
  });

  test("that failed says so; the first outcome counts and the span ends once", () => {
    const { tracing, made } = register();
    const span = tracing.submit(null, "ada");
    span.end({ error: "queue full" });
    span.end({ accepted: 1, refused: 0 });
    assert.equal(made.length, 1);
    assert.deepEqual(made[0]?.status, { code: SpanStatusCode.ERROR, message: "queue full" });
  });
});

describe("attempt", () => {
  test("makes two neighbours below the submit span: the wait, then the run, at their own times", () => {
    const { tracing, made } = register();
    const submit = tracing.submit(null, "ada");
    submit.end({ accepted: 1, refused: 0 });
    tracing.attempt({ ...attempt, trace: submit.trace });
    const [root, wait, run] = made;
    assert.deepEqual([wait?.name, run?.name], ["queue wait", "attempt"]);
    assert.deepEqual([wait?.parentId, run?.parentId], [root?.spanId, root?.spanId]);
    assert.deepEqual([wait?.traceId, run?.traceId], [root?.traceId, root?.traceId]);
    assert.deepEqual([wait?.startTime, wait?.endTime], [attempt.dueAt, attempt.startedAt]);
    assert.deepEqual([run?.startTime, run?.endTime], [attempt.startedAt, attempt.finishedAt]);
    assert.equal(run?.kind, SpanKind.CONSUMER);
  });

  test("names the job, its task, pool, attempt and outcome; the wait has no outcome", () => {
    const { tracing, made } = register();
    tracing.attempt(attempt);
    const [wait, run] = made;
    for (const span of [wait, run]) {
      assert.equal(span?.attributes["messaging.message.id"], "job");
      assert.equal(span?.attributes["messaging.destination.name"], "cpu");
      assert.equal(span?.attributes["millpond.task"], "echo");
      assert.equal(span?.attributes["millpond.attempt"], 2);
    }
    assert.equal(run?.attributes["millpond.outcome"], "succeeded");
    assert.equal("millpond.outcome" in (wait?.attributes ?? {}), false);
    assert.equal(run?.status, undefined);
  });

  test("that failed carries the message", () => {
    const { tracing, made } = register();
    tracing.attempt({ ...attempt, outcome: "failed", error: "no luck" });
    assert.deepEqual(made[1]?.status, { code: SpanStatusCode.ERROR, message: "no luck" });
    assert.equal(made[0]?.status, undefined);
  });

  for (const outcome of ["timed_out", "expired", "lost"]) {
    test(`that ended as ${outcome} is an error without a message of its own`, () => {
      const { tracing, made } = register();
      tracing.attempt({ ...attempt, outcome });
      assert.deepEqual(made[1]?.status, { code: SpanStatusCode.ERROR, message: outcome });
    });
  }

  for (const outcome of ["cancelled", "released"]) {
    test(`that ended as ${outcome} is no error`, () => {
      const { tracing, made } = register();
      tracing.attempt({ ...attempt, outcome });
      assert.equal(made[1]?.attributes["millpond.outcome"], outcome);
      assert.equal(made[1]?.status, undefined);
    });
  }

  test("that began before it was due, by the worker's clock, did not wait", () => {
    const { tracing, made } = register();
    tracing.attempt({ ...attempt, startedAt: attempt.dueAt - 3 });
    assert.equal(made[0]?.endTime, attempt.dueAt);
  });
});

describe("what is not sampled", () => {
  test("makes no span at all for its attempts", () => {
    const { tracing, started } = register();
    tracing.attempt({ ...attempt, trace: caller.replace(/01$/, "00") });
    tracing.attempt({ ...attempt, trace: null });
    assert.equal(started(), 0);
  });

  test("is decided by the lowest bit alone", () => {
    const { tracing, started } = register();
    tracing.attempt({ ...attempt, trace: caller.replace(/01$/, "02") });
    assert.equal(started(), 0);
    tracing.attempt({ ...attempt, trace: caller.replace(/01$/, "03") });
    assert.equal(started(), 2);
  });

  test("stays so on the way from submit to attempt", () => {
    const { tracing, made, started } = register(false);
    const { trace: stored } = tracing.submit(null, "ada");
    assert.match(stored ?? "", /-00$/);
    tracing.attempt({ ...attempt, trace: stored });
    assert.equal(started(), 1);
    assert.deepEqual(made, []);
  });
});

describe("without an exporter", () => {
  test("the caller's context is passed on, and nothing is made", () => {
    const { started } = register();
    const span = untraced.submit(caller, "ada");
    span.end({ accepted: 1, refused: 0 });
    untraced.attempt(attempt);
    assert.equal(span.trace, caller);
    assert.equal(untraced.submit(null, "ada").trace, null);
    assert.equal(started(), 0);
  });

  test("a tracing without an SDK passes the caller's context on too", () => {
    const span = createTracing().submit(caller, "ada");
    span.end({ accepted: 1, refused: 0 });
    assert.equal(span.trace, caller);
  });
});
