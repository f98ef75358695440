/** The trace context of `ctx.trace`. */
import { attemptSpanId, childSpanId, traceOf, traceparentOf, type TraceContext } from "../job/trace.ts";
import type { ChunkJob } from "./chunk.ts";

/**
 * `span`: the index of the task's span to use as the parent; -1: the attempt itself; undefined: this server exports no
 * spans, so the caller's span is the parent, because the attempt's span would be missing in the trace.
 */
export function traceToHandOn(job: Pick<ChunkJob, "id" | "fence" | "trace">, span: number | undefined): TraceContext {
  const { id, fence, trace: stored } = job;
  const { traceId, parentId, isSampled, tracestate, baggage } = traceOf({ id, trace: stored });
  const own = attemptSpanId(id, fence);
  const ofServer = () =>
    traceparentOf(traceId, span === undefined || span < 0 ? own : childSpanId(own, span), isSampled);
  return {
    traceparent: span === undefined && stored !== null && parentId !== null ? callers(stored) : ofServer(),
    ...(tracestate !== undefined && { tracestate }),
    ...(baggage !== undefined && { baggage }),
  };
}

function callers(stored: string): string {
  return stored.split("\n", 1)[0] as string;
}
