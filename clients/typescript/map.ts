import type { Call } from "./call.ts";
import type { Clock } from "./clock.ts";
import type { Connection } from "./connection.ts";
import type { InputOf, OutputOf, Task } from "./job.ts";
import { newJobId } from "./job.ts";
import type { ExecutionOptions, JobOptions } from "./job-options.ts";
import type { Finished } from "./map-run.ts";
import { createMapRun, isPassed } from "./map-run.ts";
import { createReconnect } from "./reconnect.ts";
import type { JobRefusal, JobResult } from "./result.ts";
import { toJobResult } from "./result.ts";
import type { Tracing } from "./tracing.ts";

export type MapOptions<Input = unknown> = {
  /** Bound on jobs that are not finished or not yet taken from the loop: 1 to 10000. Default 500. */
  readonly concurrency?: number | undefined;
  /** Ends the loop with the signal's reason. Jobs that were accepted run on. */
  readonly signal?: AbortSignal | undefined;
  /** What holds for the job of every input: its timeout, retries, labels and the like. */
  readonly job?: ExecutionOptions | undefined;
  /**
   * Names the work of each input, such as `invoice-4711`, so that a loop that is run again does not do it twice: within
   * 24 hours an input whose key is known yields the result of the job that has the key. Needs `channel`.
   */
  readonly idempotencyKey?: ((input: Input, index: number) => string) | undefined;
  /** The same by the job's id, a UUID: known for as long as the server keeps the job. Needs `channel`. */
  readonly id?: ((input: Input, index: number) => string) | undefined;
  /**
   * Where the results go; one loop at a time may use it. Results in it that no input waits for are acknowledged.
   * Default: a channel of its own for each loop.
   */
  readonly channel?: string | undefined;
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
  readonly call: Call;
  readonly tracing: Tracing;
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
  options: MapOptions<I> = {},
): AsyncGenerator<Done<I, OutputOf<T>>, void, undefined> {
  const { concurrency = defaultConcurrency, signal, channel } = options;
  if (!Number.isInteger(concurrency) || concurrency < 1 || concurrency > maxConcurrency) {
    throw new RangeError(`concurrency is ${concurrency} and must be a whole number from 1 to ${maxConcurrency}`);
  }
  const isRepeatable = options.idempotencyKey !== undefined || options.id !== undefined;
  if (isRepeatable && channel === undefined) {
    throw new TypeError("map is given an idempotencyKey or id and no channel: name one, the same each time");
  }
  const tracer = await context.tracing.tracer();
  signal?.throwIfAborted(); // from here on nothing is waited for until the signal is listened to
  const run = createMapRun<I>({
    ...context,
    tracer,
    task,
    jobOptions: jobOptionsOf(options),
    isRepeatable,
    inputs,
    concurrency,
    channel: channel ?? `map-${newJobId()}`,
    reconnect: createReconnect(context),
  });
  const abort = () => run.fail(signal?.reason);
  signal?.addEventListener("abort", abort);
  try {
    for (let batch = await run.next(); batch !== undefined; batch = await run.next()) {
      for (const finished of batch) {
        if (!isPassed(finished)) yield toDone(finished, task);
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

/** What differs from one input to the next is asked for one by one; what does not is passed on as it is. */
function jobOptionsOf<I>({
  job,
  id,
  idempotencyKey,
}: MapOptions<I>): (input: I, index: number) => JobOptions | undefined {
  if (id === undefined && idempotencyKey === undefined) return () => job;
  return (input, index) => ({
    ...job,
    ...(id && { id: id(input, index) }),
    ...(idempotencyKey && { idempotencyKey: idempotencyKey(input, index) }),
  });
}

function toDone<T extends Task, I>({ index, input, result, refusal }: Finished<I>, task: T): Done<I, OutputOf<T>> {
  if (refusal !== undefined) return { index, input, refusal };
  // it checks the output against the task's own type
  return { index, input, result: toJobResult(result, task) as JobResult<OutputOf<T>> };
}
