/** How many more workers the machine has room for: bounded by cores for CPU work, and by memory. */
import type { Clock } from "../../clock.ts";
import type { Pool } from "../../pool/pool.ts";

export type Memory = { readonly usedBytes: number; readonly limitBytes: number };

export type CeilingParts = {
  /** The pools that share cores and memory. */
  readonly pools: readonly Pick<Pool, "name" | "target" | "workers">[];
  /** Names of the pools for CPU work. */
  readonly cpuPools: ReadonlySet<string>;
  /** Bound on the workers of all pools for CPU work together. */
  readonly cores: number;
  /** Memory of one worker. */
  readonly workerBytes: number;
  /** Memory of the process now. */
  readonly memory: () => Memory;
  readonly clock: Pick<Clock, "monotonicMs">;
};

/** `workers`: how many more may start, 0 or more. `by`: the limiting resource; `why` has its numbers. */
export type Ceiling = { readonly workers: number; readonly by: "cores" | "memory"; readonly why: string };

/** Returns the lower of both ceilings for a pool. */
export type Ceilings = (pool: string) => Ceiling;

/** Shortest time between two readings of memory. */
const readMs = 1_000;

export function createCeilings({ pools, cpuPools, cores, workerBytes, memory, clock }: CeilingParts): Ceilings {
  let read = { ...memory(), atMs: clock.monotonicMs(), workers: workersNow(), before: workersNow() };

  function workersNow(): Map<string, number> {
    return new Map(pools.map((pool) => [pool.name, pool.workers()]));
  }

  /**
   * A worker that did not exist at both of the last two readings may have been starting, so that its memory was not
   * completely measured: the memory of one worker is added for it.
   */
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
