/** The chunks that a pool runs now, and the outcomes of attempts that do not start. */
import type { Lease, Outcome } from "../../job/job.ts";
import type { Ended } from "../../pool/pool.ts";

/** A running chunk: its jobs that are not reported yet. */
export type InFlightChunk = Set<Lease>;

/** The number of running chunks, and its peak. */
export type ChunkPeak = { readonly running: number; readonly peak: number };

export type InFlight = {
  begin(leases: readonly Lease[]): InFlightChunk;
  /** Removes a job from its chunk; an empty chunk has ended. False: the job is not in it. */
  remove(chunk: InFlightChunk, lease: Lease): boolean;
  /** Number of jobs in all chunks. */
  count(): number;
  /** The peak since the last call. */
  chunkPeak(): ChunkPeak;
  leases(): Lease[];
};

export function createInFlight(): InFlight {
  const chunks = new Set<InFlightChunk>();
  let count = 0;
  let peak = 0;
  return {
    begin(leases) {
      const chunk = new Set(leases);
      chunks.add(chunk);
      count += leases.length;
      peak = Math.max(peak, chunks.size);
      return chunk;
    },
    remove(chunk, lease) {
      if (!chunk.delete(lease)) return false;
      count -= 1;
      if (chunk.size === 0) chunks.delete(chunk);
      return true;
    },
    count: () => count,
    chunkPeak() {
      const since = { running: chunks.size, peak };
      peak = chunks.size;
      return since;
    },
    leases: () => [...chunks].flatMap((chunk) => [...chunk]),
  };
}

/** An attempt that ended before it started. */
export function unrun(lease: Lease, outcome: Outcome, now: number): Ended {
  const isDamaged = lease.damage !== undefined && !lease.isCancelling;
  const damaged: Outcome | false = isDamaged && { kind: "failed", failure: lease.damage };
  return { lease, outcome: damaged || outcome, startedAt: now, finishedAt: now, tookMs: 0 };
}

/** The outcome of a job that was cancelled before it started: it is CANCELLED, and the attempt does not count. */
export function asCancelled(lease: Lease, now: number): Ended {
  return unrun({ ...lease, isCancelling: true }, { kind: "released" }, now);
}
