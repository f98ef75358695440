/**
 * The number of jobs that wait in each pool, including leased ones that wait for a worker, and its bound. In memory, so
 * that admission does not query the store. Exact while no other process uses the store. Otherwise approximate: changes
 * by others are noticed by a poll, which may miss pending submits and leases.
 */
import type { Store } from "../../store/store.ts";

export type Backlog = {
  /**
   * Reads the numbers from the store. `leased`: number of a pool's jobs that are leased here and wait for a worker.
   * Resolves with the pools that have waiting jobs but are not configured.
   */
  load(leased?: (pool: string) => number): Promise<readonly string[]>;
  queued(pool: string): number;
  limit(pool: string): number;
  /** Reserves room for one more job; false if the pool is full. */
  reserve(pool: string): boolean;
  /**
   * More jobs wait (positive: a retry, release or redrive) or fewer (negative: started, cancelled, reserved but not
   * stored).
   */
  change(pool: string, jobs: number): void;
};

/** `limits`: the bound of each pool. */
export function createBacklog(store: Pick<Store, "counts">, limits: ReadonlyMap<string, number>): Backlog {
  const depths = new Map<string, number>([...limits.keys()].map((pool) => [pool, 0]));
  /** Never negative: jobs that another server submitted may be leased here before the next poll counts them. */
  const queued = (pool: string) => Math.max(0, depths.get(pool) ?? 0);
  const limit = (pool: string) => limits.get(pool) ?? 0;
  const change = (pool: string, jobs: number) => void depths.set(pool, (depths.get(pool) ?? 0) + jobs);
  return {
    async load(leased = () => 0) {
      const { pools } = await store.counts();
      const stored = new Map(pools.map(({ pool, QUEUED }) => [pool, QUEUED]));
      for (const pool of limits.keys()) depths.set(pool, (stored.get(pool) ?? 0) + leased(pool));
      return pools.filter(({ pool, QUEUED }) => QUEUED > 0 && !limits.has(pool)).map(({ pool }) => pool);
    },
    queued,
    limit,
    reserve(pool) {
      if (queued(pool) >= limit(pool)) return false;
      change(pool, 1);
      return true;
    },
    change,
  };
}
