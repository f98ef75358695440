/** Processor time of worker threads, for the advice on the size of pools. */
import type { Worker } from "node:worker_threads";
import type { ThreadPool } from "../pool/pool.ts";

/** What the threads of a pool took of the processors since the last call; of threads that ended since, nothing. */
export function createThreadCpu(
  pools: readonly Pick<ThreadPool, "name" | "threads">[],
): (pool: string) => Promise<number> {
  const counted = new WeakMap<Worker, number>();

  async function sinceLast(thread: Worker): Promise<number> {
    try {
      const { user, system } = await thread.cpuUsage();
      const usedMs = (user + system) / 1_000;
      const newMs = usedMs - (counted.get(thread) ?? 0);
      counted.set(thread, usedMs);
      return newMs;
    } catch {
      return 0; // it has ended
    }
  }

  return async (name) => {
    const threads = pools.find((pool) => pool.name === name)?.threads() ?? [];
    const used = await Promise.all(threads.map(sinceLast));
    return used.reduce((sum, ms) => sum + ms, 0);
  };
}
