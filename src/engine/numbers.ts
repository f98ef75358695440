/** The current numbers of pools and store, for `Stats` and for the metrics registry. */
import type { Clock } from "../clock.ts";
import type { JobState, Lease } from "../job/job.ts";
import type { Registry } from "../metrics/registry.ts";
import type { PoolOverrides } from "../store/pool-overrides.ts";
import type { Store, StoreSize } from "../store/store.ts";
import type { Backlog } from "./admit/backlog.ts";
import { type Autoscaler, maxCounted, type Scaling } from "./dispatch/autoscaler.ts";
import type { EnginePool } from "./dispatch/dispatcher.ts";

/** A pool's queue and workers, from memory. */
export type PoolNow = {
  readonly pool: string;
  readonly queued: number;
  readonly maxQueued: number;
  readonly running: number;
  readonly suspects: number;
  readonly workers: number;
  readonly minWorkers: number;
  readonly maxWorkers: number;
  readonly busyWorkers: number;
  /** Workers that the autoscaler wants. */
  readonly target: number;
  readonly concurrency: number;
  readonly decisions: readonly Scaling[];
  readonly isBroken: boolean;
} & PoolOverrides;

/** A pool's jobs, from the store. */
export type PoolStored = {
  readonly pool: string;
  readonly jobs: { readonly [S in JobState]: number };
  /** Jobs that a worker could run now, counted up to `maxCounted`. */
  readonly eligible: number;
  /** Time since the oldest due job became due, and since the oldest DEAD job died; 0: there is none. */
  readonly oldestAgeMs: number;
  readonly oldestDeadAgeMs: number;
};

export type Numbers = {
  pools(): readonly PoolNow[];
  /** In the same order. Rejects when the store has failed. */
  stored(): Promise<{ readonly size: StoreSize; readonly pools: readonly PoolStored[] }>;
  /** Leases of the jobs that workers run now. */
  started(): readonly Lease[];
};

export type NumbersParts = {
  readonly store: Pick<Store, "counts" | "oldest" | "eligible" | "size">;
  readonly backlog: Pick<Backlog, "queued" | "limit">;
  readonly clock: Clock;
  /** Number of a pool's jobs that run, or whose outcome is not written yet. */
  readonly running: (pool: string) => number;
  /** Of these, those that will be QUEUED again. */
  readonly returning: (pool: string) => number;
  readonly pools: readonly EnginePool[];
  /** The pause and resize of a pool. */
  readonly overrides: (pool: string) => PoolOverrides;
  readonly decisions: Autoscaler["decisions"];
};

/** Counting reads every row, so a count of at least `large` is reused for `reusedMs`. */
const large = 1_000;
const reusedMs = 1_000;

const noJobs = { QUEUED: 0, RUNNING: 0, SUCCEEDED: 0, DEAD: 0, CANCELLED: 0 } as const;

export function createNumbers(parts: NumbersParts): Numbers {
  const { store, backlog, clock, running, returning, pools, overrides, decisions } = parts;
  const counts = new Map<string, { readonly jobs: number; readonly untilMs: number }>();

  /** Due jobs of each pool in the store, in the order of the pools. */
  async function countDue(now: number): Promise<readonly number[]> {
    const nowMs = clock.monotonicMs();
    const known = (pool: string) => counts.get(pool)?.untilMs ?? 0;
    const asked = pools.map(({ pool }) => pool.name).filter((pool) => known(pool) <= nowMs);
    const eligible = await store.eligible({ pools: asked.map((pool) => ({ pool, max: maxCounted })), now });
    for (const [index, pool] of asked.entries()) {
      const jobs = eligible[index]?.jobs ?? 0;
      counts.set(pool, { jobs, untilMs: jobs < large ? 0 : nowMs + reusedMs });
    }
    return pools.map(({ pool }) => counts.get(pool.name)?.jobs ?? 0);
  }

  return {
    pools: () =>
      pools.map(({ pool, suspects }) => ({
        pool: pool.name,
        decisions: decisions(pool.name),
        queued: backlog.queued(pool.name) + returning(pool.name),
        maxQueued: backlog.limit(pool.name),
        running: running(pool.name) - returning(pool.name),
        suspects: suspects.dispatcher.running(),
        workers: pool.workers(),
        minWorkers: pool.bounds().min,
        maxWorkers: pool.bounds().max,
        busyWorkers: pool.busyWorkers(),
        target: pool.target(),
        concurrency: pool.concurrency,
        isBroken: !pool.canRun(),
        ...overrides(pool.name),
      })),
    async stored() {
      const now = clock.now();
      const names = pools.map(({ pool }) => pool.name);
      const [stored, oldest, due, size] = await Promise.all([
        ...([store.counts(), store.oldest({ pools: names, now }), countDue(now), store.size()] as const),
      ]);
      return {
        size,
        pools: pools.map(({ pool: { name: pool }, dispatcher, suspects }, index) => {
          const { dueAt = null, diedAt = null } = oldest[index] ?? {};
          const held = [...dispatcher.waiting(), ...suspects.dispatcher.waiting()];
          const eligible = (due[index] ?? 0) + held.length;
          return {
            pool,
            eligible: dispatcher.isPaused() ? 0 : Math.min(eligible, maxCounted),
            jobs: stored.pools.find((each) => each.pool === pool) ?? noJobs,
            oldestAgeMs: Math.max(now - held.reduce((at, { runAt }) => Math.min(at, runAt), dueAt ?? now), 0),
            oldestDeadAgeMs: Math.max(now - (diedAt ?? now), 0),
          };
        }),
      };
    },
    started: () =>
      pools.flatMap(({ dispatcher, suspects }) => [...dispatcher.started(), ...suspects.dispatcher.started()]),
  };
}

export function observeNumbers(registry: Registry, numbers: Numbers): void {
  registry.observed((observe) => {
    for (const each of numbers.pools()) {
      const of = { pool: each.pool };
      observe("millpond.queue.depth", each.queued, of);
      observe("millpond.queue.limit", each.maxQueued, of);
      observe("millpond.jobs.running", each.running, of);
      observe("millpond.jobs.suspects", each.suspects, of);
      observe("millpond.pool.workers", each.workers, of);
      observe("millpond.pool.min_workers", each.minWorkers, of);
      observe("millpond.pool.max_workers", each.maxWorkers, of);
      observe("millpond.pool.busy_workers", each.busyWorkers, of);
      observe("millpond.pool.target", each.target, of);
      observe("millpond.pool.concurrency", each.concurrency, of);
      observe("millpond.pool.broken", each.isBroken ? 1 : 0, of);
      observe("millpond.pool.paused", each.pause ? 1 : 0, of);
    }
  });
  registry.observed(async (observe) => {
    const { size, pools } = await numbers.stored();
    observe("millpond.store.size", size.bytes);
    observe("millpond.store.free", size.freeBytes);
    for (const { pool, jobs, oldestAgeMs, eligible } of pools) {
      observe("millpond.queue.eligible", eligible, { pool });
      observe("millpond.queue.oldest_age", oldestAgeMs / 1000, { pool });
      for (const state of Object.keys(noJobs) as JobState[]) {
        observe("millpond.jobs.stored", jobs[state], { pool, state: state.toLowerCase() });
      }
    }
  });
}
