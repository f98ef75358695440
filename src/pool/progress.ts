/** Limits the progress reports of one attempt: at most one per interval is sent, and always the last. */
import type { Clock } from "../clock.ts";
import type { Progress } from "./port.ts";

export type Reports = {
  /** Sends the report, or keeps it until the interval is over; a later one replaces it. */
  add(report: Progress): void;
  /** Ends the reports: returns the last one, sent or not, and sends no more. */
  end(): Progress;
};

const intervalMs = 100;

/**
 * A timer is set only while a report is kept. It does not fire while a task blocks its thread: then the next report
 * after the interval is sent, or the last one when the attempt ends.
 */
export function createReports(clock: Clock, send: (report: Progress) => void): Reports {
  let sentMs = Number.NEGATIVE_INFINITY;
  let last: Progress = { fraction: 0, note: "" };
  let cancelTimer: (() => void) | undefined;

  function sendLast(): void {
    cancelTimer?.();
    cancelTimer = undefined;
    sentMs = clock.monotonicMs();
    send(last);
  }

  return {
    add(report) {
      last = report;
      const waitMs = sentMs + intervalMs - clock.monotonicMs();
      if (waitMs <= 0) sendLast();
      else cancelTimer ??= clock.after(waitMs, sendLast);
    },
    end() {
      cancelTimer?.();
      return last;
    },
  };
}
