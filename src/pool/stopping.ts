/** The one way in which attempts are stopped: cancel, timeout, deadline and shutdown. */
import type { Clock } from "../clock.ts";
import type { Lease } from "../job/job.ts";
import type { StopReason } from "./chunk.ts";
import { currentOf, noJob, standingOf, stopReasonOf, tellToStop, threadOf, withdraw } from "./flags.ts";
import type { Slot, Slots } from "./slots.ts";

export type Stopping = {
  /** Whether the job runs or waits here, and will not begin or was asked to stop; with a fence, only the attempt under it. */
  cancel(seq: number, fence?: number): boolean;
  /** Takes back what waits. */
  withdrawAll(): void;
  /** Takes back what waits, and tells what runs to stop. */
  releaseAll(): void;
  /** Checks all that runs, once: what is over its time is asked to stop, and what does not stop is ended. */
  check(): void;
};

export type StoppingParts = {
  readonly slots: Slots;
  readonly clock: Clock;
  readonly graceMs: number;
  readonly timeoutOf: (lease: Lease) => number;
  /** Has the threads that wait for something else read their flags. */
  readonly ring: () => void;
  /** Ends the thread that runs the chunk. */
  readonly kill: (slot: Slot) => void;
  /** No thread took the chunk for `blockedMs`. */
  readonly onBlocked: (slot: Slot) => void;
};

/**
 * Chunks are about 2 ms of work: a job that runs for so long keeps those behind it from a thread that may be free. Not
 * less, for on a busy machine a thread is off its core for 20 ms now and then.
 */
const slowMs = 50;

/** A thread that is ready takes a chunk at once, unless what a job left behind blocks it. */
const blockedMs = 10_000;

export function createStopping(parts: StoppingParts): Stopping {
  const { slots, clock, graceMs, timeoutOf } = parts;

  function requestStop(slot: Slot, index: number, reason: StopReason): boolean {
    if (!tellToStop(slot.flags, index, reason)) return false;
    see(slot, clock.monotonicMs());
    parts.ring();
    return true;
  }

  /** Takes back every job that waits in the chunk. Without `onReleased` it is reported when the chunk ends. */
  function withdrawWaiting(slot: Slot): void {
    const taken = slot.leases.filter((_, index) => withdraw(slot.flags, index, "released"));
    if (taken.length > 0) slot.callbacks.onReleased?.(taken);
  }

  function checkSlot(slot: Slot, nowMs: number): void {
    see(slot, nowMs);
    if (slot.seen === noJob) {
      if (threadOf(slot.flags) === 0 && nowMs - slot.sentMs >= blockedMs) parts.onBlocked(slot);
      return;
    }
    if (standingOf(slot.flags, slot.seen) !== "running") return;
    const reason = overdue(slot.leases[slot.seen] as Lease, nowMs - slot.beganMs);
    if (reason && !stopReasonOf(slot.flags, slot.seen)) requestStop(slot, slot.seen, reason);
    if (slot.callbacks.onReleased && nowMs - slot.beganMs >= slowMs) withdrawWaiting(slot);
    if (nowMs < slot.killMs) return;
    withdrawWaiting(slot); // so that none of them begins while its thread ends
    if (standingOf(slot.flags, slot.seen) === "running") parts.kill(slot);
  }

  /** A deadline comes first: no further attempt would do any good. */
  function overdue(lease: Lease, ranMs: number): StopReason | undefined {
    if (lease.expiresAt !== null && clock.now() >= lease.expiresAt) return "expired";
    return ranMs >= timeoutOf(lease) ? "timed_out" : undefined;
  }

  /**
   * Notes which job runs, since when, and until when it may once it was asked to stop. The thread writes by the wall clock
   * when the job began; that is believed as far as it agrees with when the slot was last checked.
   */
  function see(slot: Slot, nowMs: number): void {
    const index = currentOf(slot.flags);
    if (index !== slot.seen) {
      const ranMs = Math.min(Math.max(clock.now() - (slot.flags.startedAt[0] ?? 0), 0), nowMs - slot.checkedMs);
      slot.seen = index;
      slot.beganMs = nowMs - ranMs;
      slot.killMs = Number.POSITIVE_INFINITY;
    }
    slot.checkedMs = nowMs;
    if (index === noJob || slot.killMs !== Number.POSITIVE_INFINITY) return;
    if (stopReasonOf(slot.flags, index)) slot.killMs = nowMs + graceMs;
  }

  return {
    cancel(seq, fence) {
      for (const slot of slots.busy) {
        const index = slot.leases.findIndex((lease) => lease.seq === seq && (fence ?? lease.fence) === lease.fence);
        if (index < 0) continue;
        if (withdraw(slot.flags, index, "cancelled") || requestStop(slot, index, "cancelled")) return true;
        // it has ended here, or was taken back and may be in another slot by now
      }
      return false;
    },
    withdrawAll() {
      for (const slot of slots.busy) withdrawWaiting(slot);
    },
    releaseAll() {
      for (const slot of slots.busy) {
        withdrawWaiting(slot);
        for (const index of slot.leases.keys()) requestStop(slot, index, "released");
      }
    },
    check() {
      const nowMs = clock.monotonicMs();
      for (const slot of slots.busy) checkSlot(slot, nowMs);
    },
  };
}
