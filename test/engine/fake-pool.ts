import type { Lease, Outcome } from "../../src/job/job.ts";
import { createSignal } from "../../src/lifecycle.ts";
import type { Pool } from "../../src/pool/pool.ts";
import { endedOf, succeeded } from "../support/samples.ts";

/** A chunk that a fake worker holds until the test says how it went. */
export type HeldChunk = {
  readonly leases: readonly Lease[];
  end(outcome?: Outcome, tookMs?: number): void;
  /** Its first jobs, so many, have succeeded, and the chunk goes on. */
  endFirst(count: number, tookMs?: number): void;
  /** Those behind so many are taken back before they began, and the chunk goes on. */
  releaseFrom(index: number): void;
};

export type FakePool = Pool & {
  /** Chunks that are running, oldest first. */
  readonly held: HeldChunk[];
  /** Sizes of all chunks that were run. */
  readonly sizes: number[];
  /** Jobs that were told to stop, by `seq`, in order. */
  readonly told: number[];
  /** Whether its threads start. */
  canRun: () => boolean;
  /** Most chunks that ran at once. */
  most(): number;
  /** Ends everything that runs. */
  endAll(outcome?: Outcome, tookMs?: number): void;
};

/** A pool without threads. It fails the test that sends it more than it has workers for. */
export function createFakePool(workers: number, name = "cpu"): FakePool {
  const held: HeldChunk[] = [];
  const sizes: number[] = [];
  const told: number[] = [];
  let most = 0;
  return {
    ...{ name, held, sizes, told },
    canRun: () => true,
    startingMs: () => undefined,
    minWorkers: workers,
    maxWorkers: workers,
    workers: () => workers,
    free: () => workers - held.length,
    async run(leases, { onEnded, onReleased }) {
      let known = 0;
      let end = leases.length;
      if (held.length >= workers) throw new Error("a chunk was sent to a pool without a free worker");
      const ended = createSignal();
      const chunk: HeldChunk = {
        leases,
        end(outcome = succeeded, tookMs = 0.01) {
          held.splice(held.indexOf(chunk), 1);
          onEnded(leases.slice(known, end).map((lease) => endedOf(lease, outcome, { tookMs })));
          ended.fire();
        },
        endFirst(count, tookMs = 0.01) {
          known = count;
          onEnded(leases.slice(0, count).map((lease) => endedOf(lease, succeeded, { tookMs })));
        },
        releaseFrom(index) {
          const taken = leases.slice(index, end);
          end = index;
          onReleased?.(taken);
        },
      };
      held.push(chunk);
      sizes.push(leases.length);
      most = Math.max(most, held.length);
      return ended.promise;
    },
    progressOf: () => undefined,
    cancel(seq, fence) {
      const isMeant = (lease: Lease) => lease.seq === seq && (fence ?? lease.fence) === lease.fence;
      if (!held.some(({ leases }) => leases.some(isMeant))) return false;
      told.push(seq);
      return true;
    },
    releaseAll() {},
    async destroy() {},
    most: () => most,
    endAll(outcome, tookMs) {
      for (const chunk of [...held]) chunk.end(outcome, tookMs);
    },
  };
}
