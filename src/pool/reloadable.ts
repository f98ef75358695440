/**
 * A pool whose tasks can be replaced while jobs run. Modules cannot be unloaded, so each set of tasks has threads of
 * its own: a new set gets new threads, and those of the previous set end with their running attempts.
 */
import type { PoolCode } from "./port.ts";
import type { RetirablePool, ThreadPool } from "./pool.ts";
import type { Bounds } from "./size.ts";

export type ReloadablePool = ThreadPool & {
  /** Runs jobs on this code from now on. Running attempts continue on theirs; jobs that have not started are released. */
  reload(code: PoolCode): void;
};

type Generation = {
  readonly pool: RetirablePool;
  /** Number of running chunks. */
  chunks: number;
};

/** Creates a pool with these bounds, or the configured ones. */
type Make = (code: PoolCode, bounds?: Bounds) => RetirablePool;

/** While older threads end, there are more threads than the target, but no more than the target run jobs. */
export function createReloadablePool(make: Make, first: PoolCode): ReloadablePool {
  let newest: Generation = { pool: make(first), chunks: 0 };
  const older = new Set<Generation>();
  const ending = new Set<Promise<void>>();
  let isStopping = false;
  const { name, concurrency } = newest.pool;

  /** Newest first: a released job may still be known to the pool where it was. */
  const all = () => [newest.pool, ...[...older].map(({ pool }) => pool).toReversed()];

  function endWhenIdle(generation: Generation): void {
    if (generation.chunks > 0 || !older.delete(generation)) return;
    const ended = generation.pool.destroy();
    ending.add(ended);
    void ended.then(() => ending.delete(ended));
  }

  return {
    ...{ name, concurrency },
    bounds: () => newest.pool.bounds(),
    target: () => newest.pool.target(),
    workers: () => all().reduce((sum, pool) => sum + pool.workers(), 0),
    busyWorkers: () => all().reduce((sum, pool) => sum + pool.busyWorkers(), 0),
    setTarget: (workers) => newest.pool.setTarget(workers),
    resize: (bounds) => newest.pool.resize(bounds),
    threads: () => all().flatMap((pool) => pool.threads()),
    wakeIdle() {
      for (const pool of all()) pool.wakeIdle();
    },
    free() {
      const taken = [...older].reduce((sum, { chunks }) => sum + chunks, 0);
      return Math.max(newest.pool.free() - taken, 0);
    },
    canRun: () => newest.pool.canRun(),
    startingMs: (seq) => newest.pool.startingMs(seq),
    async run(leases, callbacks) {
      const generation = newest;
      generation.chunks += 1;
      await generation.pool.run(leases, callbacks);
      generation.chunks -= 1;
      endWhenIdle(generation);
    },
    progressOf(seq) {
      for (const pool of all()) {
        const progress = pool.progressOf(seq);
        if (progress) return progress;
      }
      return undefined;
    },
    cancel: (seq, fence) => all().some((pool) => pool.cancel(seq, fence)),
    withdraw() {
      for (const pool of all()) pool.withdraw();
    },
    releaseAll() {
      isStopping = true;
      for (const pool of all()) pool.releaseAll();
    },
    async destroy() {
      isStopping = true;
      await Promise.all([...all().map((pool) => pool.destroy()), ...ending]);
    },
    reload(code) {
      if (isStopping) return;
      const former = newest;
      newest = { pool: make(code, former.pool.bounds()), chunks: 0 };
      newest.pool.setTarget(former.pool.target());
      older.add(former);
      former.pool.retire();
      endWhenIdle(former);
    },
  };
}
