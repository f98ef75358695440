import type { Clock } from "../clock.ts";

const everyMs = 60_000;

/**
 * For events that come often: reports the first, and then one in a minute at most. `others` is the number of those in
 * between that were not reported.
 */
export function createSeldom(clock: Clock): (report: (others: number) => void) => void {
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
