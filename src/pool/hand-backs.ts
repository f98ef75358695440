/** Counts how often jobs were handed back because code of somebody else ended their thread while they ran. */
import type { Ended } from "./port.ts";

export type HandBacks = {
  /** Counts one more, and gives how many there were. */
  add(seq: number): number;
  /** These attempts have ended: those that have an outcome begin at 0 again. */
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
      for (const { lease, outcome } of ended) if (outcome.kind !== "released") counts.delete(lease.seq);
    },
  };
}
