/**
 * Attributes uncaught errors in a worker thread, and calls of `process.exit`, to a job or task by the async context of
 * the failing code (AsyncLocalStorage), even if the job that started it has ended.
 *
 * Callbacks of native code without a context stay unknown, such as an unhandled rejection of sharp, and finalizers. An
 * error in an event listener is attributed to the job that emits the event.
 */
import { AsyncLocalStorage, createHook } from "node:async_hooks";
import type { Failure, Lease } from "../job/job.ts";
import { failureOf } from "./failure.ts";
import { textOf } from "./sanitize.ts";
import { thrownOf } from "./thrown.ts";

/** The origin of code: a job, or, if `id` is null, the import of a task's file, or a resource. */
export type Origin = AttemptOrigin | { readonly task: string; readonly id: null; readonly resource?: string };

/** Identifies one attempt and its span. */
export type AttemptOrigin = Pick<Lease, "task" | "id" | "seq" | "attempt" | "fence" | "trace">;

export type Fault = {
  /** Null: unknown. */
  readonly origin: Origin | null;
  readonly failure: Failure;
};

const maxCodeChars = 20;

const origins = new AsyncLocalStorage<Origin>();

/** Runs code so that it, and everything it starts, is attributed to this origin. */
export function runAs<T>(origin: Origin, code: () => T): T {
  return origins.run(origin, code);
}

/**
 * Calls `enter` before each async callback of a job, and `leave` after it, which costs 0.1 µs per callback. The
 * inspector could provide this for free, but attaching to threads while one ends crashes the process (Node 26).
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
 * From now on a fault in this thread is reported and ends it: other jobs may depend on the code that failed, and would
 * wait forever. Call it before any code of a task runs. Returns a function that ends the thread in the same way.
 */
export function endAtFaults(report: (fault: Fault) => void): (error: unknown) => never {
  const exit: typeof process.exit = process.exit.bind(process);
  let isEnding = false;

  function end(failure: () => Failure): never {
    if (!isEnding) {
      isEnding = true; // an exit handler may throw or exit, too
      report({ origin: origins.getStore() ?? null, failure: failure() });
    }
    exit(1); // whatever code the task passed: the exit code of a thread is not used
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
