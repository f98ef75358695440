/**
 * Collects garbage when the server has become idle: V8 waits with it until there is more, and an idle server would keep the
 * 30 MiB that its start left behind, and what a burst of jobs did, for as long as nothing happens.
 */
import { type EventLoopUtilization, performance } from "node:perf_hooks";
import { getHeapStatistics, setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import type { Clock } from "../clock.ts";
import { createLoop, type Service } from "../lifecycle.ts";

export type IdleCollectionParts = {
  readonly clock: Clock;
  /** Default: that of this thread's event loop. */
  readonly utilization?: (since?: EventLoopUtilization) => EventLoopUtilization;
  /** Default: the heap that this thread uses, garbage included. */
  readonly heapBytes?: () => number;
  /** Takes 0.1 s, and with a large heap seconds, in which the thread does nothing else. Default: that of V8. */
  readonly collect?: () => void;
};

const everyMs = 5_000;
/** How long the loop must have been idle. The first time, after the start, one look is enough. */
const idleMs = 30_000;
/** The least time between two collections: load that comes and goes does not pay for them again and again. */
const pauseMs = 300_000;
/** A larger heap is left to V8, which collects in steps: all at once takes 0.3 s of the processor with 211 MiB in use, seconds with 731. */
const maxHeapBytes = 100 * 2 ** 20;
/** Of the time since the last look. A loop that was busy for less is idle: what it left behind is little. */
const idleShare = 0.05;

/** From `start` to `stop`: once after each time in which the event loop was busy, the start of the process being the first, within the bounds above. */
export function createIdleCollection({
  clock,
  utilization = performance.eventLoopUtilization,
  heapBytes = () => getHeapStatistics().used_heap_size,
  collect = collectGarbage,
}: IdleCollectionParts): Service {
  let last = utilization();
  let wasBusy = true;
  let idleForMs = 0;
  let leastIdleMs = everyMs;
  let nextMs = Number.NEGATIVE_INFINITY;

  function round(): void {
    const share = utilization(last).utilization;
    last = utilization();
    const nowMs = clock.monotonicMs();
    idleForMs = share > idleShare ? 0 : idleForMs + everyMs;
    wasBusy ||= idleForMs === 0;
    if (!wasBusy || idleForMs < leastIdleMs || nowMs < nextMs) return;
    wasBusy = false;
    leastIdleMs = idleMs;
    nextMs = nowMs + pauseMs;
    if (heapBytes() > maxHeapBytes) return;
    collect();
    last = utilization();
  }

  return createLoop({ name: "idle collection", clock, everyMs, round });
}

/** Only the last resort also makes the young generation small again. */
function collectGarbage(): void {
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as NodeJS.GCFunction;
  setFlagsFromString("--no-expose-gc");
  collect({ type: "major", flavor: "last-resort" });
}
