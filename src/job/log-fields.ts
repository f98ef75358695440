/** Log fields that identify an attempt and its trace. */
import { attemptSpanId, traceOf } from "./trace.ts";

type Traced = { readonly id: string; readonly fence: number; readonly trace: string | null };
type Attempt = Traced & { readonly task: string; readonly pool: string; readonly attempt: number };

/** The fields of every line about an attempt. */
export function jobFields(attempt: Attempt) {
  const { id: job, task, pool, attempt: number } = attempt;
  return { job, task, pool, attempt: number, ...traceFields(attempt) };
}

/**
 * The attempt's span, with the field names of OpenTelemetry's log bridge for pino, so that log tools find the trace. A
 * job that was submitted without a context has a trace id, too: that of its own trace, which is exported if it fails.
 */
export function traceFields(attempt: Traced) {
  const { traceId, isSampled } = traceOf(attempt);
  return {
    trace_id: traceId,
    span_id: attemptSpanId(attempt.id, attempt.fence),
    trace_flags: isSampled ? "01" : "00",
  };
}
