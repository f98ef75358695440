import type { Lease, Outcome } from "../../src/job/job.ts";
import { createSignal } from "../../src/lifecycle.ts";
import type { Ended, Pool } from "../../src/pool/pool.ts";
import { endedOf, succeeded } from "../support/samples.ts";

/** A chunk that a fake worker holds until the test says how it went. */
export type HeldChunk = { readonly leases: readonly Lease[]; end(outcome?: Outcome, tookMs?: number): void };

export type FakePool = Pool & {
  /** Chunks that are running, oldest first. */
  readonly held: HeldChunk[];
  /** Sizes of all chunks that were run. */
  readonly sizes: number[];
  /** Most chunks that ran at once. */
  most(): number;
  /** Ends everything that runs. */
  endAll(outcome?: Outcome, tookMs?: number): void;
};

/** A pool without threads. It fails the test that sends it more than it has workers for. */
export function createFakePool(workers: number, name = "cpu"): FakePool {
  const held: HeldChunk[] = [];
  const sizes: number[] = [];
  let most = 0;
  return {
    ...{ name, held, sizes },
    minWorkers: workers,
    maxWorkers: workers,
    workers: () => workers,
    free: () => workers - held.length,
    async run(leases) {
      if (held.length >= workers) throw new Error("a chunk was sent to a pool without a free worker");
      const ended = createSignal<readonly Ended[]>();
      const chunk: HeldChunk = {
        leases,
        end(outcome = succeeded, tookMs = 0.01) {
          held.splice(held.indexOf(chunk), 1);
          ended.fire(leases.map((lease) => endedOf(lease, outcome, { tookMs })));
        },
      };
      held.push(chunk);
      sizes.push(leases.length);
      most = Math.max(most, held.length);
      return ended.promise;
    },
    progressOf: () => undefined,
    cancelAll() {},
    async destroy() {},
    most: () => most,
    endAll(outcome, tookMs) {
      for (const chunk of [...held]) chunk.end(outcome, tookMs);
    },
  };
}
