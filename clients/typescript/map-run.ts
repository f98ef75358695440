import type { Receipt, Result } from "../../src/gen/millpond/v1/job_pb.ts";
import type { Clock } from "./clock.ts";
import type { Connection } from "./connection.ts";
import { MillpondClientError } from "./error.ts";
import type { Exchange, ExchangeJob } from "./exchange.ts";
import { openExchange } from "./exchange.ts";
import { createInputs } from "./inputs.ts";
import type { InputOf, Task } from "./job.ts";
import { job } from "./job.ts";
import type { ExecutionOptions } from "./job-options.ts";
import type { Reconnect } from "./reconnect.ts";
import type { JobRefusal } from "./result.ts";
import { toRefusal } from "./result.ts";

/** How long the server may take to confirm the last acknowledgement; nothing is lost when it does not. */
const finishTimeoutMs = 2_000;

/** What became of one input. */
export type Finished<I> = { readonly index: number; readonly input: I } & (
  | { readonly result: Result; readonly refusal?: undefined }
  | { readonly result?: undefined; readonly refusal: JobRefusal }
);

/** A job without a result. `isWaiting`: refused for now, it is sent again when the server's delay is over. */
type Pending<I> = ExchangeJob & { readonly index: number; readonly input: I; isWaiting: boolean };

export type MapRunOptions<I> = {
  readonly connection: Connection;
  readonly clock: Clock;
  readonly reconnect: Reconnect;
  readonly deadlineMs: number;
  readonly task: Task;
  readonly jobOptions: ExecutionOptions | undefined;
  readonly inputs: Iterable<I> | AsyncIterable<I>;
  readonly concurrency: number;
  readonly channel: string;
};

/** The state of one map(): what was pulled and not yet taken, over however many streams it needs. */
export type MapRun<I> = {
  /** What has finished since the last call, at least one; undefined when all inputs are through. */
  next(): Promise<readonly Finished<I>[] | undefined>;
  /** The consumer has taken this one: it may be acknowledged, and another input pulled. */
  taken(finished: Finished<I>): void;
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
  const { connection, clock, reconnect, task, jobOptions, concurrency, channel } = options;
  const stopping = new AbortController();
  const pending = new Map<string, Pending<I>>();
  let unsent: Pending<I>[] = [];
  let finished: Finished<I>[] = [];
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

  function add(input: I, index: number): void {
    try {
      const made = { ...job(task, input as InputOf<Task>, jobOptions), index, input, isWaiting: false };
      pending.set(made.spec.id, made);
      unsent.push(made);
    } catch (error) {
      if (!(error instanceof MillpondClientError)) throw error;
      const { reason, message, violations } = error;
      finish({ index, input, refusal: { reason, message, violations } });
    }
  }

  function finish(one: Finished<I>): void {
    finished.push(one);
    wake.resolve();
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
      fail(error); // also when it was stopped, but then nobody asks any more
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
    unsent = [...pending.values()].filter(({ isWaiting }) => !isWaiting); // same ids: what arrived is only confirmed
    scheduleTurn();
    await opened.closed;
    if (isDone) return;
    const message = `${connection.address} ended the stream before all results were in`;
    throw new MillpondClientError({ reason: "connection_lost", codeName: "UNAVAILABLE", message });
  }

  function onAccepted(jobs: readonly Pending<I>[], receipts: readonly Receipt[]): void {
    const delayed = new Map<number, Pending<I>[]>();
    for (const [at, { receipt }] of receipts.entries()) {
      const refused = jobs[at];
      if (receipt.case !== "refusal" || refused === undefined || !pending.has(refused.spec.id)) continue;
      const refusal = toRefusal(receipt.value);
      if (refusal.retryAfterMs === undefined) {
        pending.delete(refused.spec.id);
        finish({ index: refused.index, input: refused.input, refusal });
      } else {
        refused.isWaiting = true;
        const sameDelay = delayed.get(refusal.retryAfterMs);
        if (sameDelay === undefined) delayed.set(refusal.retryAfterMs, [refused]);
        else sameDelay.push(refused);
      }
    }
    reconnect.progressed();
    for (const [delayMs, waiting] of delayed) void sendAgain(waiting, delayMs);
  }

  async function sendAgain(waiting: readonly Pending<I>[], delayMs: number): Promise<void> {
    try {
      await clock.sleep(delayMs, stopping.signal);
    } catch {
      return; // stopped: nobody waits for these jobs any more
    }
    for (const one of waiting) one.isWaiting = false;
    unsent.push(...waiting.filter(({ spec }) => pending.has(spec.id)));
    scheduleTurn();
  }

  function onResults(results: readonly Result[]): void {
    for (const result of results) {
      const done = pending.get(result.jobId);
      if (done === undefined) continue; // sent again after a reconnect
      pending.delete(result.jobId);
      finish({ index: done.index, input: done.input, result });
    }
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
    taken: ({ result }) => {
      open--;
      if (result !== undefined) takenCursor = Math.max(takenCursor, Number(result.cursor));
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
      await inputs.stop();
    },
  };
}
