/**
 * Watches threads start. One that dies or hangs before it is ready can do no job: the reason is logged, jobs
 * that wait for it are handed back, and others are started after pauses that grow.
 */
import type { Worker } from "node:worker_threads";
import type { Clock } from "../clock.ts";
import { createSignal } from "../lifecycle.ts";
import type { Log } from "../log.ts";

export type ThreadStartups = {
  /** Threads may have been started: each of them has `loadMs` from now on. */
  watch(): void;
  /** The thread begins to load this task. */
  loading(threadId: number, task: string): void;
  /** The thread cannot load its tasks, and ends. */
  failed(threadId: number, why: string): void;
  /** The thread has loaded its tasks. */
  ready(threadId: number): void;
  /** The thread is gone, whatever the reason; it may still be among the threads. */
  gone(threadId: number): void;
  /** Threads that are ready. */
  working(): number;
  /** Of those, or about to be. */
  usable(): number;
  /** Whether the last thread that was started died before it was ready, or hung. */
  isFailing(): boolean;
  /** Whether that is so, and no thread is ready. */
  isBroken(): boolean;
  /** Whether a thread is starting. */
  isStarting(): boolean;
  /** Whether a pause after such a death is not over. */
  isPausing(): boolean;
  /** The pool ends: from now on no thread is missed. Resolves once none is starting. */
  stop(): Promise<void>;
};

export type ThreadStartupsParts = {
  readonly name: string;
  readonly threads: () => readonly Worker[];
  readonly clock: Clock;
  /** How long a thread may take to load one task, and to begin with the first. */
  readonly loadMs: number;
  readonly log: Log;
  /** A thread hung and is being ended, which Node may be unable to do. */
  readonly onGivenUp: () => void;
  /**
   * Chunks may wait for a thread that does not come. Called when the pause is over after each death before a thread was
   * ready, and after each end of any thread until one is ready again, so that it is no endless rush.
   */
  readonly onMissing: () => void;
};

/** The pause after the first death; it doubles with each further one in a row, up to `maxDoublings`. */
const pauseMs = 100;
const maxDoublings = 4;
/** Reasons that are logged until a thread is ready. */
const maxLogged = 10;

type Start = {
  /** When it began to load what it loads now. */
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
  const starts = new WeakMap<Worker, Start>();
  /** In a row. */
  let deaths = 0;
  /** Pauses that are not over. */
  let pauses = 0;
  /** What was logged since a thread was ready: each reason once. */
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

  /** Looks for threads that are over their time, and again when the next one may be. */
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
      if (deaths > 0) log.info({ pool: name }, "a worker has started again");
      deaths = 0;
      logged.clear();
      check();
      onChange();
    },
    gone(threadId) {
      queueMicrotask(() => {
        check(); // it is not among the threads any more by then, and another may be
        onChange();
      });
      if (isStopped) return;
      const thread = find(threadId);
      const start = thread && startOf(thread);
      const wasReady = thread !== undefined && booted.delete(thread);
      if (start?.isGivenUp) return;
      if (!wasReady)
        died(start?.why ?? (start?.task === undefined ? "it ended" : `it ended while it loaded task "${start.task}"`));
      // also when it was ready: it may have been the last that was, and while others die piscina does not replace it
      if (deaths > 0) pause();
    },
    working: () => booted.size,
    usable: () => threads().filter((thread) => booted.has(thread) || isStarting(thread)).length,
    isFailing: () => deaths > 0,
    isBroken: () => deaths > 0 && booted.size === 0,
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
