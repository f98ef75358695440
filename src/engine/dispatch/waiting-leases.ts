/** Jobs that are leased and wait for a worker: what one prefetches, beside what a lease brought too much. */
import type { Lease } from "../../job/job.ts";

export type WaitingLeases = {
  /** The next to start first. */
  readonly leases: readonly Lease[];
  count(): number;
  /** Of their records. */
  bytes(): number;
  /** When the first of the leases may end, by the monotonic clock; infinite while none waits. */
  endsMs(): number;
  add(leases: readonly Lease[], endsMs: number): void;
  /** Takes the first ones out: they do not wait any more. */
  take(count: number): readonly Lease[];
  /** They wait again, and are the next to start. */
  putBack(leases: readonly Lease[]): void;
  /** False: it does not wait here. */
  remove(lease: Lease): boolean;
  /** All that wait or were taken out are leased until then. */
  renewed(endsMs: number): void;
};

/** `onChange`: this many more jobs wait, or fewer. A lease counts as waiting before it is added: the store's queue had it. */
export function createWaitingLeases(onChange: (jobs: number) => void): WaitingLeases {
  const leases: Lease[] = [];
  let bytes = 0;
  let endsMs = Number.POSITIVE_INFINITY;
  /** What the last renewal covered is leased until then, what was added since until `addedEndsMs` at least. */
  let renewedEndsMs = Number.POSITIVE_INFINITY;
  let addedEndsMs = Number.POSITIVE_INFINITY;

  function shorten(moreEndsMs: number): void {
    endsMs = leases.length > 0 ? Math.min(endsMs, moreEndsMs) : moreEndsMs;
  }

  function splice(index: number, count: number): readonly Lease[] {
    onChange(-count);
    const taken = leases.splice(index, count);
    bytes -= bytesOf(taken);
    return taken;
  }

  return {
    leases,
    count: () => leases.length,
    bytes: () => bytes,
    endsMs: () => (leases.length > 0 ? endsMs : Number.POSITIVE_INFINITY),
    add(more, moreEndsMs) {
      shorten(moreEndsMs);
      addedEndsMs = Math.min(addedEndsMs, moreEndsMs);
      bytes += bytesOf(more);
      leases.push(...more);
    },
    take: (count) => splice(0, count),
    putBack(taken) {
      onChange(taken.length);
      bytes += bytesOf(taken);
      shorten(Math.min(renewedEndsMs, addedEndsMs)); // whichever of these held it
      leases.unshift(...taken);
    },
    remove(lease) {
      const index = leases.indexOf(lease);
      if (index >= 0) splice(index, 1);
      return index >= 0;
    },
    renewed(untilMs) {
      endsMs = untilMs;
      renewedEndsMs = untilMs;
      addedEndsMs = Number.POSITIVE_INFINITY;
    },
  };
}

function bytesOf(leases: readonly Lease[]): number {
  let sum = 0;
  for (const { record } of leases) sum += record.length;
  return sum;
}
