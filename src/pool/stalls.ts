/** Monitors the event loops of threads that run several jobs at once: a job that blocks the loop stops all the others. */
import { url } from "node:inspector";
import { systemClock } from "../clock.ts";
import { type Pulse, pulseMs, turnedAt } from "./pulse.ts";

/** Whether a debugger may be attached. */
const isDebugged = () => url() !== undefined;

export type Stalls = {
  /** The thread has loaded its tasks. */
  ready(threadId: number, pulse: Pulse): void;
  gone(threadId: number): void;
  pulseOf(threadId: number): Pulse | undefined;
  /** Checks these threads once; call it with all threads that have jobs. */
  check(threadIds: Iterable<number>): void;
  /** Whether the thread has started and its loop is not blocked; new chunks should go to such threads. */
  isOpen(threadId: number): boolean;
  /** Whether its loop is blocked, so that `onStalled` is called unless it runs again soon. */
  isStalled(threadId: number): boolean;
};

/** Lower bound, even if the grace is shorter: shorter stalls are normal, especially on a busy machine. */
const leastMs = 1_000;
/** If checks are further apart, the main thread was stalled, too, and the time in between is not counted. */
const longestGapMs = 500;
const lateMs = 3 * pulseMs;

/** Called once per stall, after half of the allowed time: a loop that stays blocked for `restMs` more exceeds it. */
export type OnStalled = (threadId: number, stillMs: number, restMs: number) => void;

/** A loop may be blocked for the grace, but at least for a second. Uses the machine's clock: see pulse.ts. */
export function createStalls(graceMs: number, onStalled: OnStalled): Stalls {
  const pulses = new Map<number, Pulse>();
  /** The last time in the pulse of each reported thread. */
  const reported = new Map<number, number>();
  const halfMs = (Math.max(graceMs, leastMs) + pulseMs) / 2;
  let watchedSince = Number.POSITIVE_INFINITY;
  let checkedAt = Number.NEGATIVE_INFINITY;

  function isLate(threadId: number): boolean {
    const pulse = pulses.get(threadId);
    return pulse !== undefined && systemClock.exactNow() - turnedAt(pulse) >= lateMs;
  }

  return {
    ready: (threadId, pulse) => void pulses.set(threadId, pulse),
    gone(threadId) {
      pulses.delete(threadId);
      reported.delete(threadId);
    },
    pulseOf: (threadId) => pulses.get(threadId),
    check(threadIds) {
      const now = systemClock.exactNow();
      if (now - checkedAt > longestGapMs) watchedSince = now;
      checkedAt = now;
      if (now - watchedSince < halfMs || isDebugged()) return; // a debugger stops threads at breakpoints
      for (const threadId of threadIds) {
        const pulse = pulses.get(threadId);
        if (!pulse) continue;
        const since = turnedAt(pulse);
        const stillMs = now - Math.max(since, watchedSince);
        if (stillMs < halfMs || reported.get(threadId) === since) continue;
        reported.set(threadId, since);
        onStalled(threadId, stillMs, halfMs);
      }
    },
    isOpen: (threadId) => pulses.has(threadId) && !isLate(threadId),
    isStalled: (threadId) => isLate(threadId) && !isDebugged(),
  };
}
