import type { Receipt, Result } from "../../src/gen/millpond/v1/job_pb.ts";
import type { Call } from "./call.ts";
import type { Clock } from "./clock.ts";
import type { Connection } from "./connection.ts";
import { MillpondClientError } from "./error.ts";
import type { Exchange, ExchangeJob } from "./exchange.ts";
import { openExchange } from "./exchange.ts";
import { createInputs } from "./inputs.ts";
import type { InputOf, Task } from "./job.ts";
import { job } from "./job.ts";
import type { JobOptions } from "./job-options.ts";
import { createKnownJobs } from "./known-jobs.ts";
import { createPendingJobs } from "./pending-jobs.ts";
import type { Reconnect } from "./reconnect.ts";
import type { JobRefusal } from "./result.ts";
import { toRefusal } from "./result.ts";
import type { JobTracer, TracedJob } from "./tracing.ts";
import { endOf, endOfLost } from "./tracing.ts";

/** How long the server may take to confirm the last acknowledgement; nothing is lost when it does not. */
const finishTimeoutMs = 2_000;

/** What became of one input. `cursor`: the position up to which the channel is done with once this is taken; 0: none. */
export type Finished<I> = { readonly index: number; readonly input: I; readonly cursor: number } & (
  | { readonly result: Result; readonly refusal?: undefined }
  | { readonly result?: undefined; readonly refusal: JobRefusal }
);

/** A result of the channel that no input waits for: it came before, or belongs to an earlier loop. */
export type Passed = { readonly cursor: number };

/** A job without a result. */
type Pending<I> = ExchangeJob & {
  readonly index: number;
  readonly input: I;
  /** Under which its result comes: its own, or that of the job that has its idempotency key. */
  jobId: string;
  /** Refused for now: it is sent again when the server's delay is over. */
  isWaiting: boolean;
  /** The server had it before, so it need not be sent again. */
  isKnown: boolean;
  readonly traced: TracedJob | undefined;
};

export type MapRunOptions<I> = {
  readonly connection: Connection;
  readonly clock: Clock;
  readonly reconnect: Reconnect;
  readonly call: Call;
  /** Undefined: jobs have no spans. */
  readonly tracer: JobTracer | undefined;
  readonly deadlineMs: number;
  readonly task: Task;
  readonly jobOptions: (input: I, index: number) => JobOptions | undefined;
  /** Inputs may have jobs of an earlier loop: their results are looked up. */
  readonly isRepeatable: boolean;
  readonly inputs: Iterable<I> | AsyncIterable<I>;
  readonly concurrency: number;
  readonly channel: string;
};

/** The state of one map(): what was pulled and not yet taken, over however many streams it needs. */
export type MapRun<I> = {
  /** What has finished since the last call, at least one; undefined when all inputs are through. */
  next(): Promise<readonly (Finished<I> | Passed)[] | undefined>;
  /** The consumer has taken this one: it may be acknowledged, and another input pulled. */
  taken(finished: Finished<I> | Passed): void;
  /** Makes `next` throw once what has finished is taken. */
  fail(error: unknown): void;
  /** Acknowledges the rest and ends the stream in good order. */
  finish(): Promise<void>;
  /** Lets go of the stream and the inputs. */
  stop(): Promise<void>;
};

/**
 * All that happens is noted where it happens and acted on in `turn`, once per round of the event loop: what has piled
 * up by then travels together, and an idle stream waits for nothing.
 */
export function createMapRun<I>(options: MapRunOptions<I>): MapRun<I> {
  const { connection, clock, reconnect, tracer, task, jobOptions, concurrency, channel } = options;
  const stopping = new AbortController();
  const pending = createPendingJobs<Pending<I>>();
  let unsent: Pending<I>[] = [];
  let finished: (Finished<I> | Passed)[] = [];
  let exchange: Exchange<Pending<I>> | undefined;
  let isConnecting = false;
  let isTurnDue = false;
  let hasEnded = false; // the inputs
  let isDone = false; // everything was taken: the end of the stream is no reason to reconnect
  let failure: { readonly error: unknown } | undefined;
  let pulled = 0;
  let open = 0; // pulled and not yet taken
  let takenCursor = 0;
  let ackedCursor = 0;
  let wake = Promise.withResolvers<void>();

  const inputs = createInputs(options.inputs, {
    isWanted: () => open < concurrency && failure === undefined,
    onInput: (input) => {
      open++;
      add(input, pulled++);
      scheduleTurn();
    },
    onEnd: () => {
      hasEnded = true;
      wake.resolve();
    },
    onError: fail,
  });

  const known = createKnownJobs({
    call: options.call,
    signal: stopping.signal,
    onResult: (result) => settle(result, 0), // the channel still has it, or is done with it
    onGone: (jobId) => {
      for (const one of pending.take(jobId)) refuse(one, resultGone(jobId));
    },
    onError: fail,
  });

  function add(input: I, index: number): void {
    try {
      const ready = job(task, input as InputOf<Task>, jobOptions(input, index));
      const traced = tracer?.begin(ready.spec);
      const spec = traced?.spec ?? ready.spec;
      const made = { ...ready, spec, traced, index, input, jobId: spec.id, isWaiting: false, isKnown: false };
      pending.add(made);
      unsent.push(made);
    } catch (error) {
      if (!(error instanceof MillpondClientError)) throw error;
      const { reason, message, violations } = error;
      refuse({ index, input }, { reason, message, violations });
    }
  }

  function refuse(one: Pick<Pending<I>, "index" | "input"> & Partial<Pending<I>>, refusal: JobRefusal): void {
    const { index, input, traced } = one;
    traced?.end({ failure: refusal });
    finish({ index, input, cursor: 0, refusal });
  }

  function finish(one: Finished<I> | Passed): void {
    finished.push(one);
    wake.resolve();
  }

  /** Hands a result to the inputs that wait for it. */
  function settle(result: Result, cursor: number): void {
    const waiting = pending.take(result.jobId);
    for (const { index, input, traced } of waiting) {
      traced?.end(endOf(result));
      finish({ index, input, cursor, result });
    }
    if (waiting.length === 0 && cursor > 0) finish({ cursor });
  }

  function fail(error: unknown): void {
    failure ??= { error };
    wake.resolve();
  }

  function isStopped(): boolean {
    return isDone || stopping.signal.aborted;
  }

  function scheduleTurn(): void {
    if (isTurnDue || isStopped()) return;
    isTurnDue = true;
    setImmediate(turn);
  }

  function turn(): void {
    isTurnDue = false;
    if (isStopped()) return;
    if (takenCursor > ackedCursor && exchange?.ack(takenCursor)) ackedCursor = takenCursor;
    inputs.pull();
    if (unsent.length === 0) return;
    if (exchange !== undefined) unsent.splice(0, exchange.submit(unsent));
    else if (!isConnecting) void stayConnected();
  }

  async function stayConnected(): Promise<void> {
    isConnecting = true;
    try {
      while (!isStopped()) {
        try {
          await connectOnce();
        } catch (error) {
          exchange = undefined;
          if (isStopped()) return;
          await reconnect.failed(error, stopping.signal);
        }
      }
    } catch (error) {
      fail(error); // also when it was stopped, but then the caller does not ask any more
    }
  }

  async function connectOnce(): Promise<void> {
    const opened = await openExchange<Pending<I>>(connection, {
      channel,
      afterCursor: takenCursor,
      maxUnacked: Math.min(10_000, concurrency * 2),
      openTimeoutMs: options.deadlineMs,
      clock,
      signal: stopping.signal,
      onAccepted,
      onResults,
      onDrain: scheduleTurn,
    });
    exchange = opened;
    reconnect.opened();
    ackedCursor = 0; // an acknowledgement on the old stream may not have arrived
    unsent = pending.all().filter(({ isWaiting, isKnown }) => !isWaiting && !isKnown); // same ids: what arrived is only confirmed
    scheduleTurn();
    await opened.closed;
    if (isDone) return;
    const message = `${connection.address} ended the stream before all results were in`;
    throw new MillpondClientError({ reason: "connection_lost", codeName: "UNAVAILABLE", message });
  }

  function onAccepted(jobs: readonly Pending<I>[], receipts: readonly Receipt[]): void {
    const delayed = new Map<number, Pending<I>[]>();
    for (const [at, { receipt }] of receipts.entries()) {
      const one = jobs[at];
      if (one === undefined || !pending.has(one)) continue;
      if (receipt.case === "duplicateOf" && options.isRepeatable) {
        pending.move(one, receipt.value);
        one.isKnown = true;
        known.find(receipt.value);
      }
      if (receipt.case !== "refusal") continue;
      const refusal = toRefusal(receipt.value);
      if (refusal.retryAfterMs === undefined) {
        pending.remove(one);
        refuse(one, refusal);
      } else {
        one.isWaiting = true;
        const sameDelay = delayed.get(refusal.retryAfterMs);
        if (sameDelay === undefined) delayed.set(refusal.retryAfterMs, [one]);
        else sameDelay.push(one);
      }
    }
    reconnect.progressed();
    for (const [delayMs, waiting] of delayed) void sendAgain(waiting, delayMs);
  }

  async function sendAgain(waiting: readonly Pending<I>[], delayMs: number): Promise<void> {
    try {
      await clock.sleep(delayMs, stopping.signal);
    } catch {
      return; // stopped: these jobs are not awaited any more
    }
    for (const one of waiting) one.isWaiting = false;
    unsent.push(...waiting.filter(pending.has));
    scheduleTurn();
  }

  function onResults(results: readonly Result[]): void {
    for (const result of results) settle(result, Number(result.cursor));
    reconnect.progressed();
  }

  return {
    next: async () => {
      for (;;) {
        if (finished.length > 0) {
          const batch = finished;
          finished = [];
          return batch;
        }
        if (failure !== undefined) throw failure.error;
        if (hasEnded && open === 0) return undefined;
        wake = Promise.withResolvers();
        scheduleTurn();
        await wake.promise;
      }
    },
    taken: (one) => {
      if (!isPassed(one)) open--;
      takenCursor = Math.max(takenCursor, one.cursor);
      scheduleTurn();
    },
    fail,
    finish: async () => {
      const last = exchange;
      if (last === undefined) return;
      if (takenCursor > ackedCursor) last.ack(takenCursor);
      isDone = true;
      last.end();
      const { promise: timedOut, resolve } = Promise.withResolvers<void>();
      const cancelTimeout = clock.after(finishTimeoutMs, resolve);
      await Promise.race([last.closed.catch(() => undefined), timedOut]);
      cancelTimeout();
    },
    stop: async () => {
      stopping.abort();
      const why = failure ? failure.error : new Error("the loop ended before the job's result came");
      for (const { traced } of pending.all()) traced?.end(endOfLost(why));
      await inputs.stop();
    },
  };
}

/** Whether no input waited for it. */
export function isPassed<I>(one: Finished<I> | Passed): one is Passed {
  return !("index" in one);
}

function resultGone(jobId: string): JobRefusal {
  const message = `job "${jobId}" ended before, and the server keeps its result no longer: give the input a new key or id to run it again`;
  return { reason: "result_gone", message, violations: [] };
}
