/** What one running attempt reports of its progress: at most one report per interval is sent, and always the last. */
import type { Clock } from "../clock.ts";
import type { Progress } from "./port.ts";

export type Reports = {
  /** Sends the report, or keeps it until the interval is over; a later one takes its place. */
  add(report: Progress): void;
  /** The attempt has ended: gives its last report, sent or not, and sends no more. */
  end(): Progress;
};

const intervalMs = 100;

/**
 * A timer is set only while a report is kept. It does not fire in a task that blocks its thread: there the report is sent
 * by the next one that comes after the interval, or when the attempt ends.
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
