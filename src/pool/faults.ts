/**
 * Uncaught errors in a worker thread, and calls of `process.exit`: whose they are is known by the context in
 * which the failing code was started (AsyncLocalStorage), also when it was left behind by a job that has ended.
 *
 * Unknown stays what native code calls back without a context, such as a rejected promise of sharp that is not awaited,
 * and finalizers. A listener that fails belongs to the job that emits.
 */
import { AsyncLocalStorage, createHook } from "node:async_hooks";
import type { Failure, Lease } from "../job/job.ts";
import { failureOf } from "./failure.ts";
import { textOf } from "./sanitize.ts";
import { thrownOf } from "./thrown.ts";

/** Whose code it is: a job's, or, where `id` is null, that of a task's file at its import, or of a resource. */
export type Origin = AttemptOrigin | { readonly task: string; readonly id: null; readonly resource?: string };

/** Of one attempt: what distinguishes it from all others, and names its span. */
export type AttemptOrigin = Pick<Lease, "task" | "id" | "seq" | "attempt" | "fence" | "trace">;

export type Fault = {
  /** Null: unknown. */
  readonly origin: Origin | null;
  readonly failure: Failure;
};

const maxCodeChars = 20;

const origins = new AsyncLocalStorage<Origin>();

/** Runs code so that it, and whatever it starts, is known as this one's. */
export function runAs<T>(origin: Origin, code: () => T): T {
  return origins.run(origin, code);
}

/**
 * From now on `enter` is called before each callback that a job has waited for, and `leave` after it. It takes 0.1 µs a callback.
 * The inspector could tell without that, but to attach to threads while one ends is a crash of the process (Node 26).
 */
export function watchCallbacks(enter: (origin: AttemptOrigin) => void, leave: () => void): void {
  createHook({
    before() {
      const origin = origins.getStore();
      if (origin && origin.id !== null) enter(origin);
      else leave();
    },
    after: leave,
  }).enable();
}

/**
 * From now on a fault in this thread is reported, and ends it: what else runs here may wait for what failed, and would
 * wait for ever. Comes before any code of a task. Returns what ends the thread in the same way.
 */
export function endAtFaults(report: (fault: Fault) => void): (error: unknown) => never {
  const exit: typeof process.exit = process.exit.bind(process);
  let isEnding = false;

  function end(failure: () => Failure): never {
    if (!isEnding) {
      isEnding = true; // an exit handler may fail, or exit, too
      report({ origin: origins.getStore() ?? null, failure: failure() });
    }
    exit(1); // whatever the task asked for: the exit code of a thread is not shown
  }

  const fail = (error: unknown) => end(() => failureOf(error));
  process.on("uncaughtException", fail);
  process.on("unhandledRejection", fail);
  process.exit = (code) => end(() => exited(code));
  return fail;
}

function exited(code: unknown): Failure {
  const { message, stack } = thrownOf(
    new Error(`process.exit(${code === undefined ? "" : textOf(code, maxCodeChars)}) was called`),
  );
  return {
    reason: "worker_died",
    message: `the worker ended during this job: ${message}`,
    retryable: true,
    ...(stack !== undefined && { stack }),
  };
}
