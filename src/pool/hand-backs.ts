/** Counts how often each job was handed back because a fault that is not known to be its own ended its thread while it ran. */
import type { Ended } from "./port.ts";

export type HandBacks = {
  /** Counts one more, and gives how many there were. */
  add(seq: number): number;
  /** These attempts have ended: jobs that are not tried again are forgotten, and begin at 0 when they are redriven. */
  forget(ended: readonly Ended[]): void;
};

/** Of more jobs, the one that was first is forgotten: it may be handed back more often. */
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

/** Its deadline may still keep it from that; then it stays among the counts until others take its place. */
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
