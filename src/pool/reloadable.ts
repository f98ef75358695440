/**
 * A pool whose tasks can be replaced while jobs run. Modules cannot be unloaded, so each set of tasks has threads of its
 * own: a new set gets new ones, and those of the set before end with the attempts that they run.
 */
import type { PoolCode } from "./port.ts";
import type { RetirablePool, ThreadPool } from "./pool.ts";

export type ReloadablePool = ThreadPool & {
  /** From now on jobs run on this code. Attempts that run go on with theirs; jobs that did not begin are given back. */
  reload(code: PoolCode): void;
};

type Generation = {
  readonly pool: RetirablePool;
  /** Chunks that it runs. */
  chunks: number;
};

/** While older threads end there are more than the target, but no more than that many run jobs. */
export function createReloadablePool(make: (code: PoolCode) => RetirablePool, first: PoolCode): ReloadablePool {
  let newest: Generation = { pool: make(first), chunks: 0 };
  const older = new Set<Generation>();
  const ending = new Set<Promise<void>>();
  let isStopping = false;
  const { name, concurrency } = newest.pool;

  /** The newest first: a job that was given back may still be known where it was. */
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
      newest = { pool: make(code), chunks: 0 };
      newest.pool.resize(former.pool.bounds());
      newest.pool.setTarget(former.pool.target());
      older.add(former);
      former.pool.retire();
      endWhenIdle(former);
    },
  };
}
