/** Watches threads start: one that dies before it is ready leaves its chunk waiting for a thread that never comes. */
import type { Worker } from "node:worker_threads";
import type { Clock } from "../clock.ts";
import { createSignal } from "../lifecycle.ts";
import type { Log } from "../log.ts";

export type Boots = {
  /** The thread has loaded its tasks. */
  ready(threadId: number): void;
  /** The thread is gone, whatever the reason; it may still be among the threads. */
  gone(threadId: number): void;
  /** Whether so many threads in a row died before they were ready that the pool does not work. */
  isBroken(): boolean;
  /** Whether a thread is there that was ready. */
  hasReady(): boolean;
  /** Ends the threads that are not ready. */
  endUnready(): void;
  /** Resolves once no thread is starting. */
  allReady(): Promise<void>;
};

export type BootsParts = {
  readonly name: string;
  readonly threads: () => readonly Worker[];
  readonly clock: Clock;
  readonly log: Log;
  /**
   * Chunks may wait for a thread that does not come. Called a while after each death before a thread was ready, and after
   * each end of any thread until one is ready again, so that it is no endless rush.
   */
  readonly onMissing: () => void;
};

/** Threads that die in a row before they are ready, until the pool is given up. */
const maxDeaths = 5;
/** How long after the first such death the work goes on; it doubles with each one up to `maxDeaths`. */
const retryMs = 100;

export function createBoots({ name, threads, clock, log, onMissing }: BootsParts): Boots {
  const booted = new WeakSet<Worker>();
  let deaths = 0;
  let onChange = () => {};

  const areStarting = () => threads().some((thread) => !booted.has(thread));
  const find = (threadId: number) => threads().find((thread) => thread.threadId === threadId);

  return {
    ready(threadId) {
      const thread = find(threadId);
      if (thread) booted.add(thread);
      deaths = 0;
      onChange();
    },
    gone(threadId) {
      queueMicrotask(() => onChange()); // it is not among the threads any more by then
      const thread = find(threadId);
      if (!thread || !booted.has(thread)) {
        deaths += 1;
        const fields = { pool: name, deaths };
        if (deaths === maxDeaths) log.error(fields, "workers die before they are ready: the pool is broken");
        else log.warn(fields, "a worker died before it was ready");
      }
      if (deaths === 0) return;
      // also when it was ready: it may have been the last that was, and while others die piscina does not replace it
      clock.after(retryMs * 2 ** (Math.min(deaths, maxDeaths) - 1), onMissing);
    },
    isBroken: () => deaths >= maxDeaths,
    hasReady: () => threads().some((thread) => booted.has(thread)),
    endUnready() {
      for (const thread of threads()) if (!booted.has(thread)) void thread.terminate();
    },
    async allReady() {
      const done = createSignal();
      onChange = () => {
        if (!areStarting()) done.fire();
      };
      onChange();
      await done.promise;
    },
  };
}
