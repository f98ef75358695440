/**
 * Leased jobs that wait for a worker: prefetched ones, and those of a lease that brought more than workers were free
 * for.
 */
import type { Lease } from "../../job/job.ts";

export type WaitingLeases = {
  /** The next to start comes first. */
  readonly leases: readonly Lease[];
  count(): number;
  /** Size of their records. */
  bytes(): number;
  /** When the first of the leases may end (monotonic clock); infinite while none waits. */
  endsMs(): number;
  add(leases: readonly Lease[], endsMs: number): void;
  /** Removes and returns the first ones. */
  take(count: number): readonly Lease[];
  /** Adds them at the front: they are the next to start. */
  putBack(leases: readonly Lease[]): void;
  /** Removes a lease; false: it does not wait here. */
  remove(lease: Lease): boolean;
  /** All leases, also those taken or removed, last until then. */
  renewed(endsMs: number): void;
};

/**
 * `onChange`: called with the change of the number of waiting jobs. `add` is no change, because the jobs waited in the
 * store.
 */
export function createWaitingLeases(onChange: (jobs: number) => void): WaitingLeases {
  const leases: Lease[] = [];
  let bytes = 0;
  let endsMs = Number.POSITIVE_INFINITY;
  /** Leases of the last renewal last until then; those added since at least until `addedEndsMs`. */
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
      shorten(Math.min(renewedEndsMs, addedEndsMs)); // it may be one of either kind
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
