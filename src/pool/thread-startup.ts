/**
 * Monitors starting threads. If one dies or hangs before it is ready, the reason is logged, jobs that wait for it are
 * released, and other threads are started after increasing pauses. The same holds for a ready thread that fails through
 * none of its jobs, for example where a task's file replaces a global, until a thread has finished a chunk.
 */
import type { Worker } from "node:worker_threads";
import type { Clock } from "../clock.ts";
import { createSignal } from "../lifecycle.ts";
import type { Log } from "../log.ts";

export type ThreadStartups = {
  /** Checks for newly started threads: each has `loadMs` from now on. */
  watch(): void;
  /** The thread starts to load this task. */
  loading(threadId: number, task: string): void;
  /** The thread cannot load its tasks, and ends. */
  failed(threadId: number, why: string): void;
  /** The thread has loaded its tasks. */
  ready(threadId: number): void;
  /** A thread that was ready fails through none of its jobs, and is about to end. */
  unfit(threadId: number, why: string): void;
  /** The thread has finished a chunk. */
  worked(threadId: number): void;
  /** The thread has ended for any reason; it may still be in the list of threads. */
  gone(threadId: number): void;
  /** Number of ready threads. */
  working(): number;
  /** Number of threads that are ready or starting. */
  usable(): number;
  /** Whether the last started thread died or hung before it was ready. */
  isFailing(): boolean;
  /** Whether `isFailing()` and no thread is ready, or none that has finished a chunk while the pause after an unfit one lasts. */
  isBroken(): boolean;
  /** Whether a thread is starting. */
  isStarting(): boolean;
  /** Whether a pause after such a failure is not over. */
  isPausing(): boolean;
  /** Stops monitoring, because the pool stops. Resolves once no thread is starting. */
  stop(): Promise<void>;
};

export type ThreadStartupsParts = {
  readonly name: string;
  readonly threads: () => readonly Worker[];
  readonly clock: Clock;
  /** How long a thread may take to load one task, and to reach the first. */
  readonly loadMs: number;
  readonly log: Log;
  /** Called when a thread hung and is being terminated, which may fail. */
  readonly onGivenUp: () => void;
  /**
   * Called when chunks may wait for a thread that never comes: after the pause that follows each death before
   * readiness, and each end of any thread until one is ready again. The pause prevents a busy loop.
   */
  readonly onMissing: () => void;
};

/** The pause after the first death; doubles with each further one in a row, up to `maxDoublings`. */
const pauseMs = 100;
const maxDoublings = 4;
/** Bound on the reasons that are logged until a thread is ready. */
const maxLogged = 10;

type Start = {
  /** When it started its current load. */
  sinceMs: number;
  task: string | undefined;
  why: string | undefined;
  isGivenUp: boolean;
};

export function createThreadStartups({
  name,
  threads,
  clock,
  loadMs,
  log,
  onGivenUp,
  onMissing,
}: ThreadStartupsParts): ThreadStartups {
  const booted = new Set<Worker>();
  /** Those that have finished a chunk. */
  const proven = new WeakSet<Worker>();
  const starts = new WeakMap<Worker, Start>();
  /** Consecutive deaths before readiness. */
  let deaths = 0;
  /** The last of them was ready, and unfit. */
  let isUnfit = false;
  /** Number of pauses that are not over. */
  let pauses = 0;
  /** Reasons that were logged since a thread was last ready; each is logged once. */
  const logged = new Set<string>();
  let onChange = () => {};
  let cancelCheck: (() => void) | undefined;
  let isStopped = false;

  const find = (threadId: number) => threads().find((thread) => thread.threadId === threadId);
  const isStarting = (thread: Worker) => !booted.has(thread) && !startOf(thread).isGivenUp;

  function startOf(thread: Worker): Start {
    let start = starts.get(thread);
    if (!start) {
      start = { sinceMs: clock.monotonicMs(), task: undefined, why: undefined, isGivenUp: false };
      starts.set(thread, start);
    }
    return start;
  }

  /** Gives up threads that exceed their time, and schedules the next check. */
  function check(): void {
    cancelCheck?.();
    cancelCheck = undefined;
    if (isStopped) return;
    const nowMs = clock.monotonicMs();
    let nextMs = Number.POSITIVE_INFINITY;
    for (const thread of threads().filter(isStarting)) {
      const endsMs = startOf(thread).sinceMs + loadMs;
      if (nowMs >= endsMs) giveUp(thread);
      else nextMs = Math.min(nextMs, endsMs);
    }
    if (nextMs < Number.POSITIVE_INFINITY) cancelCheck = clock.after(nextMs - nowMs, check);
  }

  function giveUp(thread: Worker): void {
    const start = startOf(thread);
    start.isGivenUp = true;
    died(
      start.task === undefined
        ? `it has not begun to load its tasks after ${loadMs} ms`
        : `loading task "${start.task}" takes longer than ${loadMs} ms: raise taskLoadMs if it may`,
    );
    void thread.terminate();
    onGivenUp();
    pause();
    onChange();
  }

  function died(why: string): void {
    deaths += 1;
    const fields = { pool: name, why, deaths };
    const level = logged.has(why) || logged.size === maxLogged ? "debug" : "error";
    if (level === "error") logged.add(why);
    log[level](fields, "a worker cannot start: another is tried after a pause");
  }

  function recovered(): void {
    if (deaths > 0) log.info({ pool: name }, "a worker has started again");
    deaths = 0;
    isUnfit = false;
    logged.clear();
  }

  function pause(): void {
    pauses += 1;
    clock.after(pauseMs * 2 ** Math.min(deaths - 1, maxDoublings), () => {
      pauses -= 1;
      onMissing();
    });
  }

  return {
    watch: check,
    loading(threadId, task) {
      const thread = find(threadId);
      if (thread) Object.assign(startOf(thread), { task, sinceMs: clock.monotonicMs() });
      log.debug({ pool: name, thread: threadId, task }, "a worker loads a task");
    },
    failed(threadId, why) {
      const thread = find(threadId);
      if (thread) startOf(thread).why = why;
    },
    ready(threadId) {
      const thread = find(threadId);
      if (!thread || startOf(thread).isGivenUp) return;
      booted.add(thread);
      if (!isUnfit) recovered();
      check();
      onChange();
    },
    unfit(threadId, why) {
      isUnfit = true;
      const thread = find(threadId);
      if (thread) startOf(thread).why = why;
    },
    worked(threadId) {
      const thread = find(threadId);
      if (thread) proven.add(thread);
      if (isUnfit) recovered();
    },
    gone(threadId) {
      queueMicrotask(() => {
        check(); // by then it is no longer in the list of threads, and another may be
        onChange();
      });
      if (isStopped) return;
      const thread = find(threadId);
      const start = thread && startOf(thread);
      const wasReady = thread !== undefined && booted.delete(thread);
      if (start?.isGivenUp) return;
      if (!wasReady || start?.why !== undefined)
        died(start?.why ?? (start?.task === undefined ? "it ended" : `it ended while it loaded task "${start.task}"`));
      // even if it was ready: it may have been the last ready one, and piscina does not replace it while others die
      if (deaths > 0) pause();
    },
    working: () => booted.size,
    usable: () => threads().filter((thread) => booted.has(thread) || isStarting(thread)).length,
    isFailing: () => deaths > 0,
    isBroken: () =>
      deaths > 0 && !(isUnfit && pauses > 0 ? [...booted].some((thread) => proven.has(thread)) : booted.size > 0),
    isStarting: () => threads().some(isStarting),
    isPausing: () => pauses > 0,
    async stop() {
      isStopped = true;
      cancelCheck?.();
      const done = createSignal();
      onChange = () => {
        if (!threads().some(isStarting)) done.fire();
      };
      onChange();
      await done.promise;
    },
  };
}
