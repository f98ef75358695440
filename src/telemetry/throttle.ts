import type { Clock } from "../clock.ts";

const everyMs = 60_000;

/**
 * Limits reports of a frequent event: the first is reported, then at most one per minute. `others` is the number of
 * events since the last report that were not reported.
 */
export function createThrottle(clock: Clock): (report: (others: number) => void) => void {
  let reportedMs = Number.NEGATIVE_INFINITY;
  let others = 0;
  return (report) => {
    if (clock.monotonicMs() - reportedMs < everyMs) {
      others += 1;
      return;
    }
    reportedMs = clock.monotonicMs();
    report(others);
    others = 0;
  };
}
