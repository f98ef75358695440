/**
 * How many jobs wait in each pool, those included that are leased and wait for a worker, and whether more may. Held in
 * memory, so that admission asks no store. Exact while this process has the store alone. With several it is approximate: it
 * follows what the others do by a poll, and a poll may miss a submit or a lease that is under way.
 */
import type { Store } from "../../store/store.ts";

export type Backlog = {
  /**
   * Reads the numbers from the store. `leased`: jobs of a pool that are leased here and wait for a worker; none at the start.
   * Resolves with the pools that hold jobs but are not configured.
   */
  load(leased?: (pool: string) => number): Promise<readonly string[]>;
  queued(pool: string): number;
  limit(pool: string): number;
  /** Books room for one more job; false when the pool is full. */
  reserve(pool: string): boolean;
  /** More jobs wait (positive: a retry, a release, a redrive) or fewer (negative: begun, cancelled, reserved but not stored). */
  change(pool: string, jobs: number): void;
};

/** `limits` gives the bound of each pool. */
export function createBacklog(store: Pick<Store, "counts">, limits: ReadonlyMap<string, number>): Backlog {
  const depths = new Map<string, number>([...limits.keys()].map((pool) => [pool, 0]));
  /** Never negative: what another server submitted may be leased here before the next poll counts it. */
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
