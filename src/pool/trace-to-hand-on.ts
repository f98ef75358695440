/** What `ctx.trace` gives. */
import { attemptSpanId, childSpanId, traceOf, traceparentOf, type TraceContext } from "../job/trace.ts";
import type { ChunkJob } from "./chunk.ts";

/**
 * `span`: the index of the task's span that whatever it calls stands under; -1: the attempt itself; undefined: this server
 * exports nothing, so the trace goes on from the caller's span, for the attempt's would be missing in it.
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
