/**
 * Uncaught errors in a worker thread, and calls of `process.exit`: whose they are is known by the context in
 * which the failing code was started (AsyncLocalStorage), also when it was left behind by a job that has ended.
 *
 * Unknown stays what native code calls back without a context, such as a rejected promise of sharp that is not awaited,
 * and finalizers. A listener that fails belongs to the job that emits.
 */
import { AsyncLocalStorage } from "node:async_hooks";
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

/** Under this key of `Symbol.for`, the global object of a thread that runs several jobs at once has a function that gives whose code runs. */
export const originKey = "millpond.origin";

/** So that the main thread can ask a thread that is blocked: see whose-code.ts. */
export function showOrigin(): void {
  Object.defineProperty(globalThis, Symbol.for(originKey), { value: () => origins.getStore() ?? null });
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
