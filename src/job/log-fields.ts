/** How lines of the log name an attempt and its trace. */
import { attemptSpanId, traceOf } from "./trace.ts";

type Traced = { readonly id: string; readonly fence: number; readonly trace: string | null };
type Attempt = Traced & { readonly task: string; readonly pool: string; readonly attempt: number };

/** What every line about an attempt names. */
export function jobFields(attempt: Attempt) {
  const { id: job, task, pool, attempt: number } = attempt;
  return { job, task, pool, attempt: number, ...traceFields(attempt) };
}

/**
 * The attempt's span, under the names that OpenTelemetry's log bridge for pino uses, so that tools for logs find the
 * trace. A job that was submitted without a context has a trace id all the same: that of its trace should it fail.
 */
export function traceFields(attempt: Traced) {
  const { traceId, isSampled } = traceOf(attempt);
  return {
    trace_id: traceId,
    span_id: attemptSpanId(attempt.id, attempt.fence),
    trace_flags: isSampled ? "01" : "00",
  };
}
