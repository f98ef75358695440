/** Watches the event loops of threads that run several jobs at once: one that a job blocks keeps all the others from going on. */
import { url } from "node:inspector";
import { systemClock } from "../clock.ts";
import { type Pulse, pulseMs, turnedAt } from "./pulse.ts";

/** Whether a debugger may be at work. */
const isDebugged = () => url() !== undefined;

export type Stalls = {
  /** The thread has loaded its tasks. */
  ready(threadId: number, pulse: Pulse): void;
  gone(threadId: number): void;
  pulseOf(threadId: number): Pulse | undefined;
  /** Checks these threads, once: all that have jobs. */
  check(threadIds: Iterable<number>): void;
  /** Whether the thread has started, and nothing has blocked its loop just now: others should get what comes. */
  isOpen(threadId: number): boolean;
  /** Whether its loop stands still, so that `onStalled` is called unless it turns soon. */
  standsStill(threadId: number): boolean;
};

/** A grace may be shorter, but a loop that stands still for less is no news, on a busy machine least of all. */
const leastMs = 1_000;
/** Whoever checks so rarely was standing still too, and knows nothing of the time between. */
const longestGapMs = 500;
const lateMs = 3 * pulseMs;

/**
 * Called once for each time that a loop stands still, after half of the time that it may: one that does so for `restMs` more is
 * over it.
 */
export type OnStalled = (threadId: number, stillMs: number, restMs: number) => void;

/** A loop may stand still for the grace, but at least for a second. Times are the machine's: see pulse.ts. */
export function createStalls(graceMs: number, onStalled: OnStalled): Stalls {
  const pulses = new Map<number, Pulse>();
  /** When the loop had turned last of a thread that was reported. */
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
      if (now - watchedSince < halfMs || isDebugged()) return; // who debugs stops at breakpoints
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
    standsStill: (threadId) => isLate(threadId) && !isDebugged(),
  };
}
