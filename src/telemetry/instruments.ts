/**
 * The spans of a job's way: `submit` when it is admitted, `queue wait` until a worker takes it, `attempt` while it runs.
 * Worker threads run no SDK: the last two are made afterwards, from the times that came back with the outcome.
 * Attribute names: https://opentelemetry.io/docs/specs/semconv/registry/attributes/messaging/
 */
import {
  type Context,
  propagation,
  ROOT_CONTEXT,
  type Span,
  SpanKind,
  SpanStatusCode,
  trace,
} from "@opentelemetry/api";

export type SubmitSpan = {
  /** `traceparent` to store with the jobs: that of this span, or the caller's when nothing is traced. */
  readonly trace: string | null;
  /** Safe to repeat: the first outcome counts. */
  end(outcome: { readonly accepted: number; readonly refused: number } | { readonly error: string }): void;
};

/** What an attempt's spans show. Times are milliseconds since 1970. */
export type TracedAttempt = {
  readonly trace: string | null;
  readonly jobId: string;
  readonly client: string;
  readonly task: string;
  readonly pool: string;
  readonly attempt: number;
  /** When the job became due. */
  readonly dueAt: number;
  readonly startedAt: number;
  readonly finishedAt: number;
  /** How it ended: `succeeded`, `failed`, `timed_out`, `cancelled`, `expired`, `lost` or `released`. */
  readonly outcome: string;
  /** The failure's message; without one a span that failed shows the outcome. */
  readonly error?: string;
};

export type Tracing = {
  /** `caller` is the W3C `traceparent` that came with the request. */
  submit(caller: string | null, client: string): SubmitSpan;
  attempt(attempt: TracedAttempt): void;
};

/** Outcomes that nobody wished for. */
const failures: ReadonlySet<string> = new Set(["failed", "timed_out", "expired", "lost"]);

/** Passes the caller's context on and makes no span: what runs when no exporter is configured. */
export const untraced: Tracing = {
  submit: (caller) => ({ trace: caller, end() {} }),
  attempt() {},
};

/** Makes spans with the globally registered OpenTelemetry SDK. */
export function createTracing(): Tracing {
  const tracer = trace.getTracer("millpond");

  const contextOf = (traceparent: string | null): Context =>
    traceparent === null ? ROOT_CONTEXT : propagation.extract(ROOT_CONTEXT, { traceparent });

  return {
    submit(caller, client) {
      const attributes = {
        "messaging.system": "millpond",
        "messaging.operation.type": "send",
        "messaging.client.id": client,
      };
      const parent = contextOf(caller);
      const span = tracer.startSpan("submit", { kind: SpanKind.PRODUCER, attributes }, parent);
      let hasEnded = false;
      return {
        trace: traceparentOf(span, parent) ?? caller,
        end(outcome) {
          if (hasEnded) return;
          hasEnded = true;
          if ("error" in outcome) span.setStatus({ code: SpanStatusCode.ERROR, message: outcome.error });
          else
            span.setAttributes({
              "millpond.jobs.accepted": outcome.accepted,
              "millpond.jobs.refused": outcome.refused,
            });
          span.end();
        },
      };
    },

    attempt(done) {
      // decided before any attribute is built: an unsampled job costs nothing
      if (done.trace === null || !isSampled(done.trace)) return;
      const parent = contextOf(done.trace);
      const attributes = {
        "messaging.system": "millpond",
        "messaging.destination.name": done.pool,
        "messaging.message.id": done.jobId,
        "messaging.client.id": done.client,
        "millpond.task": done.task,
        "millpond.attempt": done.attempt,
      };
      const waited = tracer.startSpan("queue wait", { startTime: done.dueAt, attributes }, parent);
      waited.end(Math.max(done.startedAt, done.dueAt));
      const kind = SpanKind.CONSUMER;
      const ran = tracer.startSpan("attempt", { kind, startTime: done.startedAt, attributes }, parent);
      ran.setAttribute("millpond.outcome", done.outcome);
      if (done.error !== undefined || failures.has(done.outcome)) {
        ran.setStatus({ code: SpanStatusCode.ERROR, message: done.error ?? done.outcome });
      }
      ran.end(done.finishedAt);
    },
  };
}

function traceparentOf(span: Span, parent: Context): string | null {
  const carrier: { traceparent?: string } = {};
  propagation.inject(trace.setSpan(parent, span), carrier);
  return carrier.traceparent ?? null;
}

/** The last two digits of a `traceparent` are its flags; the lowest bit says "sampled" (W3C Trace Context §3.2.2.5). */
function isSampled(traceparent: string): boolean {
  return (Number.parseInt(traceparent.slice(-2), 16) & 1) === 1;
}
