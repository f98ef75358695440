/** The chunks that the workers of a pool run now. */
import type { Lease, Outcome } from "../../job/job.ts";
import type { Ended } from "../../pool/pool.ts";

/** A chunk under way. */
export type RunningChunk = {
  readonly leases: readonly Lease[];
  /** Fences of the jobs that are not in it any more while it goes on, by `seq`. */
  withdrawn: ReadonlyMap<number, number>;
};

export type InFlight = {
  begin(leases: readonly Lease[]): RunningChunk;
  /** The chunk is over; of its outcomes those remain that belong to it still. */
  end(chunk: RunningChunk, ended: readonly Ended[]): readonly Ended[];
  /** These jobs of the chunk have ended while it goes on; those remain that belong to it still. */
  endPart(chunk: RunningChunk, ended: readonly Ended[]): readonly Ended[];
  /** Takes jobs out of their chunks, which go on; returns those that were there. */
  withdraw(leases: readonly Lease[]): Lease[];
  /** Jobs in all chunks. */
  count(): number;
  leases(): Lease[];
};

const none: ReadonlyMap<number, number> = new Map();

export function createInFlight(): InFlight {
  const chunks = new Set<RunningChunk>();
  let count = 0;
  const isIn = ({ leases, withdrawn }: RunningChunk, { seq, fence }: Lease) =>
    withdrawn.get(seq) !== fence && leases.some((lease) => lease.seq === seq && lease.fence === fence);

  return {
    begin(leases) {
      const chunk = { leases, withdrawn: none };
      chunks.add(chunk);
      count += leases.length;
      return chunk;
    },
    end(chunk, ended) {
      chunks.delete(chunk);
      count -= chunk.leases.length - chunk.withdrawn.size;
      if (chunk.withdrawn.size === 0) return ended;
      return ended.filter(({ lease }) => !chunk.withdrawn.has(lease.seq));
    },
    endPart(chunk, ended) {
      const own = ended.filter(({ lease }) => !chunk.withdrawn.has(lease.seq));
      const gone = new Map(chunk.withdrawn);
      for (const { lease } of own) gone.set(lease.seq, lease.fence);
      chunk.withdrawn = gone;
      count -= own.length;
      return own;
    },
    withdraw(leases) {
      const taken: Lease[] = [];
      for (const lease of leases) {
        const chunk = [...chunks].find((each) => isIn(each, lease));
        if (!chunk) continue;
        chunk.withdrawn = new Map(chunk.withdrawn).set(lease.seq, lease.fence);
        count -= 1;
        taken.push(lease);
      }
      return taken;
    },
    count: () => count,
    leases: () =>
      [...chunks].flatMap(({ leases, withdrawn }) =>
        withdrawn.size === 0 ? leases : leases.filter(({ seq }) => !withdrawn.has(seq)),
      ),
  };
}

/** An attempt that ended before it began. */
export function unrun(lease: Lease, outcome: Outcome, now: number): Ended {
  const isDamaged = lease.damage !== undefined && !lease.isCancelling;
  const damaged: Outcome | false = isDamaged && { kind: "failed", failure: lease.damage };
  return { lease, outcome: damaged || outcome, startedAt: now, finishedAt: now, tookMs: 0 };
}

/** A job that was cancelled before it began: it is CANCELLED, and the attempt does not count. */
export function asCancelled(lease: Lease, now: number): Ended {
  return unrun({ ...lease, isCancelling: true }, { kind: "released" }, now);
}
