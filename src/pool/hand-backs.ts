/** Counts how often each job was released because a fault not known to be its own ended its thread while it ran. */
import type { Ended } from "./port.ts";

export type HandBacks = {
  /** Increments the count of a job, and returns it. */
  add(seq: number): number;
  /** Forgets jobs whose attempts have ended and that are not retried, so that they start at 0 when redriven. */
  forget(ended: readonly Ended[]): void;
};

/** Bound on counted jobs; beyond it the oldest is forgotten, and may be released more often. */
const maxJobs = 10_000;

export function createHandBacks(): HandBacks {
  const counts = new Map<number, number>();
  return {
    add(seq) {
      const count = (counts.get(seq) ?? 0) + 1;
      counts.set(seq, count);
      const [first] = counts.keys();
      if (counts.size > maxJobs && first !== undefined) counts.delete(first);
      return count;
    },
    forget(ended) {
      if (counts.size === 0) return;
      for (const each of ended) if (!mayComeBack(each)) counts.delete(each.lease.seq);
    },
  };
}

/** Whether the job may run again. If its deadline prevents that, its count stays until others replace it. */
function mayComeBack({ lease, outcome }: Ended): boolean {
  switch (outcome.kind) {
    case "released":
      return true;
    case "failed":
      return outcome.failure.retryable && lease.attempt < lease.maxAttempts;
    case "timed_out":
    case "lost":
      return lease.attempt < lease.maxAttempts;
    default:
      return false;
  }
}
