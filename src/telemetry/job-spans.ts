/**
 * The spans of a job after its `submit`: `<task> publish`, and below it `queue wait`, `attempt` with the task's own,
 * `settle` and `deliver`. All are made after the fact, from the times that the outcome carries.
 */
import type { Clock } from "../clock.ts";
import { isFinal, type Lease, type NewJob, type Settlement } from "../job/job.ts";
import { shownFailure } from "../job/shown-failure.ts";
import { attemptSpanId, childSpanId, isSampled, jobSpanId, type JobTrace, traceOf } from "../job/trace.ts";
import { newSpanId } from "../job/trace-context.ts";
import type { AcceptedJob, CancelledJob, TracedAttempt, Tracing } from "../tracing.ts";
import { attributesOfJob, attributesOfOperation } from "./attributes.ts";
import { type Attributes, exceptionEvent, type Span, type SpanError, type SpanEvent } from "./span.ts";

export type SpanSink = {
  /** Whether there is room for this many spans; if not, they are counted as dropped and the caller makes none. */
  hasRoom(spans: number): boolean;
  add(span: Span): void;
};

export type JobSpans = Pick<Tracing, "accepted" | "settled" | "cancelled" | "delivered">;

/** Bound on traced final jobs whose result no client has read yet; beyond it, the oldest gets no `deliver` span. */
const maxUndelivered = 10_000;

type NamedJob = Pick<NewJob, "id" | "client" | "task" | "pool" | "trace">;

/** Outcomes that count as failures. */
const failures: ReadonlySet<string> = new Set(["failed", "timed_out", "expired", "lost"]);

export function createJobSpans(sink: SpanSink, clock: Clock): JobSpans {
  /** What `deliver` spans are made from, by job id. */
  const undelivered = new Map<string, NamedJob>();

  function publish(job: AcceptedJob, trace: JobTrace, endedAt: number): void {
    const startedAt = trace.acceptedAt ?? job.submittedAt;
    sink.add({
      ...{ name: `${job.task} publish`, kind: "producer", traceId: trace.traceId, spanId: jobSpanId(job.id) },
      ...{ parentId: trace.parentId, tracestate: trace.tracestate },
      ...{ startedAt, endedAt: Math.max(endedAt, startedAt) },
      attributes: { ...attributesOfJob(job), ...attributesOfOperation("publish", "send") },
    });
  }

  function settle(attempt: TracedAttempt, settlement: Settlement, now: number): void {
    const { lease } = attempt;
    const isTraced = isSampled(lease.trace);
    if (!isTraced && !failures.has(settlement.outcome)) return;
    // a job that is not sampled gets its `publish` span with its first failure; later failures share it
    const isFirst = !isTraced && lease.attempt === 1 && lease.redrives === 0;
    if (!sink.hasRoom((isFirst ? 4 : 3) + (attempt.spans?.length ?? 0))) return;
    const trace = traceOf(lease);
    if (isFirst) publish(lease, trace, trace.acceptedAt ?? lease.submittedAt);
    addAttempt(attempt, settlement, trace, now);
    if (isTraced && isFinal(settlement.state)) remember(lease);
  }

  function addAttempt(attempt: TracedAttempt, settlement: Settlement, trace: JobTrace, now: number): void {
    const { lease, startedAt, finishedAt, tookMs, spans, droppedSpans } = attempt;
    const parentId = jobSpanId(lease.id);
    const common = { traceId: trace.traceId, tracestate: trace.tracestate };
    const attributes = { ...attributesOfJob(lease), ...numbersOf(lease) };
    const error = errorOf(settlement);
    const ending = { ...attributes, ...endingOf(settlement, error) };
    const dueAt = dueAtOf(lease, trace, lease.fence === 1);
    const isLost = settlement.outcome === "lost" && settlement.startedAt === null;
    const hasRun = tookMs > 0 || isLost;
    if (!isLost) {
      // an attempt that did not start has no other span, so this one shows how it ended
      const end = Math.max(startedAt, dueAt);
      sink.add({
        ...{ ...common, name: "queue wait", kind: "internal", spanId: newSpanId(), parentId },
        ...{ startedAt: dueAt, endedAt: end },
        ...(hasRun ? { attributes } : { attributes: ending, error, events: eventsOf(settlement, error, end) }),
      });
    }
    if (hasRun) {
      const spanId = attemptSpanId(lease.id, lease.fence);
      sink.add({
        ...{ ...common, name: "attempt", kind: "consumer", spanId, parentId, startedAt, endedAt: finishedAt },
        attributes: {
          ...{ ...ending, ...attributesOfOperation("attempt", "process") },
          ...(droppedSpans !== undefined && { "millpond.spans.dropped": droppedSpans }),
        },
        ...{ error, events: eventsOf(settlement, error, finishedAt) },
      });
      for (const [index, record] of (spans ?? []).entries()) {
        const { name, startedAt: from, endedAt: to } = record;
        const failed = record.error === undefined ? undefined : { type: "exception", message: record.error };
        sink.add({
          ...{ ...common, name, kind: "internal", spanId: childSpanId(spanId, index) },
          ...{ parentId: record.parent < 0 ? spanId : childSpanId(spanId, record.parent) },
          ...{ startedAt: from, endedAt: to, attributes: record.attributes ?? {} },
          ...(failed && { error: failed, events: [exceptionEvent(failed, to)] }),
        });
      }
    }
    sink.add({
      ...{ ...common, name: "settle", kind: "internal", spanId: newSpanId(), parentId },
      ...{ startedAt: Math.min(finishedAt, now), endedAt: now },
      attributes: { ...attributes, ...attributesOfOperation("settle", "settle"), "millpond.state": settlement.state },
    });
  }

  /** The `queue wait` span of an attempt that never started: the job was cancelled while it waited. */
  function endWait(job: CancelledJob, now: number): void {
    const trace = traceOf(job);
    const dueAt = dueAtOf(job, trace, job.attempts === 0 && job.redrives === 0);
    sink.add({
      ...{ name: "queue wait", kind: "internal", traceId: trace.traceId, tracestate: trace.tracestate },
      ...{ spanId: newSpanId(), parentId: jobSpanId(job.id), startedAt: Math.min(dueAt, now), endedAt: now },
      attributes: {
        ...{ ...attributesOfJob(job), ...numbersOf({ ...job, attempt: job.attempts + 1 }) },
        ...{ "millpond.outcome": "cancelled", "millpond.state": "CANCELLED" },
      },
      events: [{ name: "cancelled", at: now, attributes: {} }],
    });
    remember(job);
  }

  function remember({ id, client, task, pool, trace }: NamedJob): void {
    undelivered.set(id, { id, client, task, pool, trace });
    if (undelivered.size <= maxUndelivered) return;
    for (const [oldest] of undelivered) return void undelivered.delete(oldest);
  }

  function deliver(job: NamedJob, readAt: number, now: number): void {
    if (!sink.hasRoom(1)) return;
    const { traceId, tracestate } = traceOf(job);
    sink.add({
      ...{ name: "deliver", kind: "internal", traceId, spanId: newSpanId(), parentId: jobSpanId(job.id) },
      ...{ tracestate, startedAt: readAt, endedAt: Math.max(now, readAt) },
      attributes: { ...attributesOfJob(job), ...attributesOfOperation("deliver", "deliver") },
    });
  }

  return {
    accepted(jobs) {
      if (!jobs.some(({ trace }) => isSampled(trace))) return;
      const now = clock.exactNow();
      for (const job of jobs) if (isSampled(job.trace) && sink.hasRoom(1)) publish(job, traceOf(job), now);
    },
    settled(attempts, settlements) {
      const now = clock.exactNow();
      for (const [index, attempt] of attempts.entries()) settle(attempt, settlements[index] as Settlement, now);
    },
    cancelled(jobs) {
      const now = clock.exactNow();
      for (const job of jobs) if (isSampled(job.trace) && sink.hasRoom(1)) endWait(job, now);
    },
    delivered(results, readAt) {
      if (undelivered.size === 0) return;
      const now = clock.exactNow();
      for (const { id } of results) {
        const job = undelivered.get(id);
        if (!job) continue;
        undelivered.delete(id);
        deliver(job, readAt, now);
      }
    },
  };
}

/**
 * When the wait starts. A job that was due at once waits from the time the server received it, which is known to the
 * microsecond.
 */
function dueAtOf(
  { runAt, submittedAt }: Pick<NewJob, "runAt" | "submittedAt">,
  { acceptedAt }: JobTrace,
  isFirst: boolean,
): number {
  return acceptedAt !== null && isFirst && runAt === submittedAt ? acceptedAt : runAt;
}

function numbersOf({ attempt, redrives }: Pick<Lease, "attempt" | "redrives">): Attributes {
  return { "millpond.attempt": attempt, ...(redrives > 0 && { "millpond.redrives": redrives }) };
}

function endingOf({ outcome, state, deadReason }: Settlement, error: SpanError | undefined): Attributes {
  return {
    "millpond.outcome": outcome,
    "millpond.state": state,
    ...(deadReason !== null && { "millpond.dead_reason": deadReason }),
    ...(error && { "error.type": error.type }),
  };
}

function errorOf({ outcome, failure }: Settlement): SpanError | undefined {
  if (!failures.has(outcome) || failure === null) return undefined;
  const { reason: type, ...rest } = shownFailure(failure);
  return { type, ...rest };
}

/** A cancelled or released attempt gets an event, although it is not an error. */
function eventsOf({ outcome }: Settlement, error: SpanError | undefined, at: number): readonly SpanEvent[] {
  if (error) return [exceptionEvent(error, at)];
  return outcome === "cancelled" || outcome === "released" ? [{ name: outcome, at, attributes: {} }] : [];
}
