/** How many more workers the machine has room for: cores for CPU work, and memory. */
import type { Clock } from "../../clock.ts";
import type { Pool } from "../../pool/pool.ts";

export type Memory = { readonly usedBytes: number; readonly limitBytes: number };

export type CeilingParts = {
  /** Whose workers share them. */
  readonly pools: readonly Pick<Pool, "name" | "target" | "workers">[];
  /** Names of those for CPU work. */
  readonly cpuPools: ReadonlySet<string>;
  /** Workers that the pools for CPU work may have together. */
  readonly cores: number;
  /** What one worker takes. */
  readonly workerBytes: number;
  /** What the process has now. */
  readonly memory: () => Memory;
  readonly clock: Pick<Clock, "monotonicMs">;
};

/** `workers`: how many more may start, 0 or more. `by`: what allows no more; `why` has its numbers. */
export type Ceiling = { readonly workers: number; readonly by: "cores" | "memory"; readonly why: string };

/** The lower of both ceilings, for one pool. */
export type Ceilings = (pool: string) => Ceiling;

/** So often is memory read at most. */
const readMs = 1_000;

export function createCeilings({ pools, cpuPools, cores, workerBytes, memory, clock }: CeilingParts): Ceilings {
  let read = { ...memory(), atMs: clock.monotonicMs(), workers: workersNow(), before: workersNow() };

  function workersNow(): Map<string, number> {
    return new Map(pools.map((pool) => [pool.name, pool.workers()]));
  }

  /** A worker that was not there at both of the last readings may have been starting: it is not wholly measured, and its price is added. */
  function byMemory(): Ceiling {
    const nowMs = clock.monotonicMs();
    if (nowMs - read.atMs >= readMs) read = { ...memory(), atMs: nowMs, workers: workersNow(), before: read.workers };
    const { usedBytes, limitBytes, workers, before } = read;
    const measured = (name: string) => Math.min(workers.get(name) ?? 0, before.get(name) ?? 0);
    const promised = pools.reduce((sum, { name, target }) => sum + Math.max(target() - measured(name), 0), 0);
    return {
      workers: Math.max(Math.floor((limitBytes - usedBytes) / workerBytes) - promised, 0),
      by: "memory",
      why: `of ${mebibytes(limitBytes)} the process has ${mebibytes(usedBytes)}, and a worker takes ${mebibytes(workerBytes)}`,
    };
  }

  function byCores(): Ceiling {
    const taken = pools.reduce((sum, { name, target }) => sum + (cpuPools.has(name) ? target() : 0), 0);
    const why = `the pools for CPU work have ${taken} workers together for ${cores} cores`;
    return { workers: Math.max(cores - taken, 0), by: "cores", why };
  }

  return (pool) => {
    const memoryCeiling = byMemory();
    if (!cpuPools.has(pool)) return memoryCeiling;
    const coreCeiling = byCores();
    return coreCeiling.workers <= memoryCeiling.workers ? coreCeiling : memoryCeiling;
  };
}

const mebibytes = (bytes: number) => `${Math.round(bytes / 2 ** 20)} MiB`;
