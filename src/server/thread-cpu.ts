/** CPU time of worker threads, for the advice on the size of pools. */
import type { Worker } from "node:worker_threads";
import type { Clock } from "../clock.ts";
import { createSignal } from "../lifecycle.ts";
import type { ThreadPool } from "../pool/pool.ts";

export type ThreadCpuParts = {
  readonly clock: Clock;
  readonly pools: readonly Pick<ThreadPool, "name" | "threads">[];
};

/** How long a thread may take to answer: it does not while it is inside a native call. */
const answerMs = 1_000;

/**
 * The CPU time of a pool's threads since the last call, without threads that have ended. The time of a thread that does
 * not answer is counted once it answers again.
 */
export function createThreadCpu({ clock, pools }: ThreadCpuParts): (pool: string) => Promise<number> {
  const counted = new WeakMap<Worker, number>();
  /** Threads with a pending request: they are not asked again until they answer. */
  const silent = new WeakSet<Worker>();

  /** Undefined if the thread has ended, or does not answer in time. */
  async function totalMs(thread: Worker): Promise<number | undefined> {
    if (silent.has(thread)) return undefined;
    silent.add(thread);
    const answered = createSignal<number | undefined>();
    const cancel = clock.after(answerMs, () => answered.fire(undefined));
    thread
      .cpuUsage()
      .then(({ user, system }) => answered.fire((user + system) / 1_000))
      .catch(() => answered.fire(undefined))
      .finally(() => silent.delete(thread));
    const total = await answered.promise;
    cancel();
    return total;
  }

  async function sinceLast(thread: Worker): Promise<number> {
    const before = counted.get(thread) ?? 0;
    const total = (await totalMs(thread)) ?? before;
    counted.set(thread, total);
    return total - before;
  }

  return async (name) => {
    const threads = pools.find((pool) => pool.name === name)?.threads() ?? [];
    const used = await Promise.all(threads.map(sinceLast));
    return used.reduce((sum, ms) => sum + ms, 0);
  };
}
