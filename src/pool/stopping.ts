/** Stops attempts, for any reason: cancel, timeout, deadline or shutdown. */
import type { Clock } from "../clock.ts";
import type { Lease } from "../job/job.ts";
import type { StopReason } from "./chunk.ts";
import { currentOf, noJob, standingOf, stopReasonOf, setStopReason, threadOf, withdraw } from "./flags.ts";
import type { Slot, Slots } from "./slots.ts";

export type Stopping = {
  /**
   * Cancels a job: withdraws it if it waits, asks it to stop if it runs. False: it is not in this pool. With a fence,
   * only the attempt with that fence.
   */
  cancel(seq: number, fence?: number): boolean;
  /** Withdraws all waiting jobs. */
  withdrawAll(): void;
  /** Withdraws all waiting jobs, and asks all running ones to stop. */
  releaseAll(): void;
  /** Withdraws the waiting jobs of this chunk. */
  withdraw(slot: Slot): void;
  /**
   * Checks all running jobs once: asks those over their time to stop, and terminates the threads of those that have not
   * stopped. Returns the chunks that no thread has taken for `lateMs`.
   */
  check(): readonly Slot[];
};

export type StoppingParts = {
  readonly slots: Slots;
  readonly clock: Clock;
  readonly graceMs: number;
  readonly timeoutOf: (lease: Lease) => number;
  /** Makes waiting threads check their flags. */
  readonly ring: () => void;
  /** Terminates the thread that runs the chunk. */
  readonly kill: (slot: Slot) => void;
  /** Called when no thread took the chunk for `blockedMs`. */
  readonly onBlocked: (slot: Slot) => void;
};

/**
 * Chunks are about 2 ms of work: after a job has run for this long, the jobs behind it are withdrawn, because another
 * thread may be free. Not less, because on a busy machine a thread may be descheduled for 20 ms.
 */
const slowMs = 50;

/** A ready thread takes a chunk at once, unless leftovers of an ended job block it, or the machine is busy. */
const lateMs = 1_000;
/** After so long the thread is certainly blocked. */
const blockedMs = 10_000;

export function createStopping(parts: StoppingParts): Stopping {
  const { slots, clock, graceMs, timeoutOf } = parts;

  function requestStop(slot: Slot, index: number, reason: StopReason): boolean {
    if (!setStopReason(slot.flags, index, reason)) return false;
    see(slot, clock.monotonicMs());
    parts.ring();
    return true;
  }

  /** Withdraws every waiting job of the chunk. Without `onReleased` they are reported when the chunk ends. */
  function withdrawWaiting(slot: Slot): void {
    const taken = slot.leases.filter((_, index) => withdraw(slot.flags, index, "released"));
    if (taken.length > 0) slot.callbacks.onReleased?.(taken);
  }

  function checkSlot(slot: Slot, nowMs: number): void {
    see(slot, nowMs);
    if (slot.seen === noJob) {
      if (isLate(slot, nowMs, blockedMs)) parts.onBlocked(slot);
      return;
    }
    if (standingOf(slot.flags, slot.seen) !== "running") return;
    const reason = overdue(slot.leases[slot.seen] as Lease, nowMs - slot.beganMs);
    if (reason && !stopReasonOf(slot.flags, slot.seen)) requestStop(slot, slot.seen, reason);
    if (slot.callbacks.onReleased && nowMs - slot.beganMs >= slowMs) withdrawWaiting(slot);
    if (nowMs >= slot.killMs) parts.kill(slot); // jobs waiting behind it are released when the thread ends
  }

  /** The deadline takes precedence, because the job cannot be retried after it. */
  function overdue(lease: Lease, ranMs: number): StopReason | undefined {
    if (lease.expiresAt !== null && clock.now() >= lease.expiresAt) return "expired";
    return ranMs >= timeoutOf(lease) ? "timed_out" : undefined;
  }

  /**
   * Records which job runs, since when, and, once it was asked to stop, when its grace ends. The thread writes the
   * start by the wall clock, which is clamped to the time since the slot was last checked.
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
        // it has ended here, or was withdrawn and may be in another slot now
      }
      return false;
    },
    withdraw: withdrawWaiting,
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
      return [...slots.busy].filter((slot) => isLate(slot, nowMs, lateMs));
    },
  };
}

function isLate({ flags, sentMs }: Slot, nowMs: number, ms: number): boolean {
  return nowMs - sentMs >= ms && threadOf(flags) === 0;
}
