import type { Result } from "../../src/gen/millpond/v1/job_pb.ts";
import type { Clock } from "./clock.ts";
import type { Connection } from "./connection.ts";
import type { InputOf, OutputOf, Task } from "./job.ts";
import { newJobId } from "./job.ts";
import type { ExecutionOptions } from "./job-options.ts";
import { createMapRun } from "./map-run.ts";
import { createReconnect } from "./reconnect.ts";
import type { JobRefusal, JobResult } from "./result.ts";
import { toJobResult } from "./result.ts";

export type MapOptions = {
  /** Bound on jobs that are not finished or not yet taken from the loop: 1 to 10000. Default 500. */
  readonly concurrency?: number | undefined;
  /** Ends the loop with the signal's reason. Jobs that were accepted run on. */
  readonly signal?: AbortSignal | undefined;
  /** What holds for the job of every input: its timeout, retries, labels and the like. */
  readonly job?: ExecutionOptions | undefined;
};

/** One input and what became of it: its job's result, or why the job was not accepted. */
export type Done<Input, Output> = {
  /** Position among the inputs, from 0. */
  readonly index: number;
  readonly input: Input;
} & (
  | { readonly result: JobResult<Output>; readonly refusal?: undefined }
  | { readonly result?: undefined; readonly refusal: JobRefusal }
);

/** What map() works with. */
export type MapContext = {
  readonly connection: Connection;
  readonly clock: Clock;
  readonly random: () => number;
  readonly deadlineMs: number;
  readonly reconnectMs: number;
  readonly retries: number;
};

const defaultConcurrency = 500;
const maxConcurrency = 10_000;

/**
 * Runs a task on every input and yields what became of each, in the order of completion. Nothing is pulled or sent
 * before the first is asked for.
 */
export async function* map<T extends Task, I extends InputOf<T>>(
  context: MapContext,
  task: T,
  inputs: Iterable<I> | AsyncIterable<I>,
  { concurrency = defaultConcurrency, signal, job }: MapOptions = {},
): AsyncGenerator<Done<I, OutputOf<T>>, void, undefined> {
  if (!Number.isInteger(concurrency) || concurrency < 1 || concurrency > maxConcurrency) {
    throw new RangeError(`concurrency is ${concurrency} and must be a whole number from 1 to ${maxConcurrency}`);
  }
  signal?.throwIfAborted();
  const run = createMapRun<I>({
    ...context,
    task,
    jobOptions: job,
    inputs,
    concurrency,
    channel: `map-${newJobId()}`,
    reconnect: createReconnect(context),
  });
  const abort = () => run.fail(signal?.reason);
  signal?.addEventListener("abort", abort);
  try {
    for (let batch = await run.next(); batch !== undefined; batch = await run.next()) {
      for (const finished of batch) {
        const { index, input, refusal } = finished;
        if (refusal !== undefined) yield { index, input, refusal };
        else yield { index, input, result: typed<T>(finished.result, task) };
        run.taken(finished);
        signal?.throwIfAborted();
      }
    }
    await run.finish();
  } finally {
    signal?.removeEventListener("abort", abort);
    await run.stop();
  }
}

function typed<T extends Task>(result: Result, task: T): JobResult<OutputOf<T>> {
  return toJobResult(result, task) as JobResult<OutputOf<T>>; // it checks the output against the task's own type
}
