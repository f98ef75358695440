/**
 * Collects garbage when the server has become idle: V8 only collects when more is allocated, so an idle server would
 * keep the 30 MiB of garbage of its start, and that of a burst of jobs, indefinitely.
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
  /** Default: the heap size of this thread, garbage included. */
  readonly heapBytes?: () => number;
  /** Blocks the thread for 0.1 s, and with a large heap for seconds. Default: that of V8. */
  readonly collect?: () => void;
};

const everyMs = 5_000;
/** How long the event loop must have been idle. After the start, one idle check is enough. */
const idleMs = 30_000;
/** Shortest time between two collections, so that intermittent load does not pay for many of them. */
const pauseMs = 300_000;
/**
 * Larger heaps are left to V8, which collects in steps: collecting at once takes 0.3 s of CPU time with 211 MiB in use,
 * and seconds with 731 MiB.
 */
const maxHeapBytes = 100 * 2 ** 20;
/** Share of the time since the last check. A loop that was busy for less counts as idle, because it leaves little garbage. */
const idleShare = 0.05;

/**
 * From `start` to `stop`, collects once after each busy period of the event loop (the first is the start of the
 * process), within the bounds above.
 */
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

/** Only a last-resort collection also shrinks the young generation. */
function collectGarbage(): void {
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as NodeJS.GCFunction;
  setFlagsFromString("--no-expose-gc");
  collect({ type: "major", flavor: "last-resort" });
}
