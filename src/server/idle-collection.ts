/**
 * Collects garbage when the server has become idle: V8 waits with it until there is more, and an idle server would keep the
 * 30 MiB that its start left behind, and what a burst of jobs did, for as long as nothing happens.
 */
import { type EventLoopUtilization, performance } from "node:perf_hooks";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import type { Clock } from "../clock.ts";
import { createLoop, type Service } from "../lifecycle.ts";

export type IdleCollectionParts = {
  readonly clock: Clock;
  /** Default: that of this thread's event loop. */
  readonly utilization?: (since?: EventLoopUtilization) => EventLoopUtilization;
  /** Takes about 0.1 s, in which the thread does nothing else. Default: that of V8. */
  readonly collect?: () => void;
};

const everyMs = 5_000;
/** Of the time since the last look. A loop that was busy for less is idle: what it left behind is little. */
const idleShare = 0.05;

/** From `start` to `stop`: once after each time in which the event loop was busy, the start of the process being the first. */
export function createIdleCollection({
  clock,
  utilization = performance.eventLoopUtilization,
  collect = collectGarbage,
}: IdleCollectionParts): Service {
  let last = utilization();
  let wasBusy = true;

  function round(): void {
    const share = utilization(last).utilization;
    last = utilization();
    if (share > idleShare) wasBusy = true;
    else if (wasBusy) {
      wasBusy = false;
      collect();
      last = utilization();
    }
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
