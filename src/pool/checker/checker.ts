/**
 * Runs the checks of users' tasks in a thread of their own. A check that throws, loops or ends the thread only affects
 * its input: the thread is replaced, and the other inputs are checked by the next one.
 */
import type { Clock } from "../../clock.ts";
import { type MillpondError, refusal } from "../../errors.ts";
import { createLoop, createSignal, within } from "../../lifecycle.ts";
import type { Log } from "../../log.ts";
import type { FileReport } from "../tasks/report.ts";
import { answerTo, type CheckCall, type CheckInput, type TaskChecks } from "./checks.ts";
import { type FromChecker, requestOf } from "./protocol.ts";
import { type CheckerThread, type Started, startThread, type ThreadParts } from "./thread-start.ts";
import { type Batch, createTurns } from "./turns.ts";

export type Checker = TaskChecks & {
  /**
   * Loads task files, given as URLs. When one ends the thread, the following files are loaded in another; fewer reports
   * than files means that the time for loading was over. Afterwards the thread is kept if any task has a check.
   */
  load(urls: readonly string[]): Promise<readonly FileReport[]>;
  /** Stops once the pending calls are answered. */
  retire(): Promise<void>;
  /** Refuses all pending inputs, and ends the thread. Safe to repeat. */
  stop(): Promise<void>;
};

export type CheckerParts = Pick<ThreadParts, "surroundings" | "loadMs"> & {
  /** See `ThreadParts`. Default: null. */
  readonly sources?: ThreadParts["sources"];
  /** How long the check of one input may take. */
  readonly checkMs: number;
  readonly clock: Clock;
  readonly log: Log;
};

/** The inputs of a batch, by index, that were sent to the thread. */
type Sent = { readonly batch: Batch; readonly indices: readonly number[] };

/** Bounds on a batch, which is copied to the thread each turn. A single input may have more bytes. */
const maxInputs = 256;
const maxBatchBytes = 2 ** 20;
/**
 * Bound on requests sent to the thread: the current and the next one, so that it never waits. More would delay other
 * clients.
 */
const maxSent = 2;
/** Bounds on the bytes of pending inputs, of all clients and of one; submits beyond them are refused. */
export const maxBytes = 64 * 2 ** 20;
export const maxClientBytes = maxBytes / 4;
/**
 * A batch is refused when none of its inputs was checked for ten times the bound on one check, or for `leastMaxWaitMs`
 * if that is longer.
 */
const maxWaitChecks = 10;
const leastMaxWaitMs = 10_000;
/**
 * Polls without progress until a check is given up. Polls are counted instead of time, so that a pause of the whole
 * process is not blamed on a check.
 */
const polls = 4;
/** Bound on the threads that one batch may break before the rest of it is refused. */
const maxBroken = 3;
/** Bound on threads that were terminated but still run, for example in native code: at the bound no new one is started. */
const maxEnding = 4;
/** Approximate memory of an input besides its bytes. */
const inputBytes = 200;
const firstPauseMs = 100;
const longestPauseMs = 10_000;
const busyRetryMs = 1_000;
const endMs = 1_000;

export function createChecker({ surroundings, sources = null, loadMs, checkMs, clock, log }: CheckerParts): Checker {
  const maxWaitMs = Math.max(maxWaitChecks * checkMs, leastMaxWaitMs);
  const waiting = createTurns();
  const sent = new Map<number, Sent>();
  const ending = new Set<CheckerThread>();
  const reported = new Set<string>();
  /** Files of tasks with a check, which a new thread loads. */
  let files: readonly string[] = [];
  let thread: CheckerThread | undefined;
  let isStarting = false;
  let isStopped = false;
  let onIdle: (() => void) | undefined;
  let failures = 0;
  let retryAtMs = 0;
  /** Bytes of the pending calls, in total and per client. */
  let bytes = 0;
  const bytesOf = new Map<string, number>();
  let lastNumber = 0;
  /** The progress of the thread at the last poll, and the number of polls since it changed. */
  let seen = "";
  let stale = 0;

  async function start(urls: readonly string[]): Promise<Started> {
    const started = await startThread({
      ...{ files: urls, surroundings, sources, loadMs, clock, onChecked },
      onThrew: (error) => log.warn({ error }, "code of a task file threw outside of its check"),
      onEnd: (why) => onBroken(why),
    });
    thread = started.thread;
    return started;
  }

  /** Starts a new thread. If it fails, submits are refused for an increasing pause. */
  async function restart(): Promise<void> {
    if (isStarting || isStopped) return;
    isStarting = true;
    const reports = ending.size < maxEnding ? (await start(files)).reports : [];
    isStarting = false;
    if (isStopped) return endThread();
    const faults = reports.flatMap((report) => (report.kind === "faulty" ? report.faults : []));
    if (thread && faults.length === 0) {
      failures = 0;
      return send();
    }
    endThread();
    const pauseMs = Math.min(firstPauseMs * 2 ** failures, longestPauseMs);
    failures += 1;
    retryAtMs = clock.monotonicMs() + pauseMs;
    log.error({ faults, threads: ending.size, pauseMs }, "the thread that checks inputs cannot be started again");
    refuseWaiting(() => true, unavailable("its thread cannot be started", pauseMs));
  }

  function send(): void {
    while (thread && sent.size < maxSent) {
      const batch = waiting.next();
      if (!batch) break;
      if (isAbandoned(batch)) {
        refuseRest(batch, refusal("cancelled", []));
        continue;
      }
      const indices = [...batch.answers.keys()].filter((index) => batch.answers[index] === undefined);
      lastNumber += 1;
      sent.set(lastNumber, { batch, indices });
      thread.send(
        requestOf(
          lastNumber,
          indices.map((index) => batch.inputs[index] as CheckInput),
        ),
      );
    }
    if (isBusy()) watchdog.wake();
  }

  function onChecked({ number, count, verdicts }: Extract<FromChecker, { kind: "checked" }>): void {
    const found = sent.get(number);
    if (!found) return;
    sent.delete(number);
    const { batch, indices } = found;
    for (const index of indices.slice(0, count)) batch.answers[index] = null;
    for (const [at, verdict] of verdicts) {
      const index = indices[at] as number;
      const { task } = batch.inputs[index] as CheckInput;
      if (typeof verdict === "string") reportOnce(task, verdict);
      batch.answers[index] = answerTo(task, verdict);
    }
    batch.sinceMs = clock.monotonicMs();
    if (batch.answers.includes(undefined)) waiting.add(batch, "last");
    else finish(batch);
    send();
  }

  const isBusy = () => sent.size > 0 || !waiting.isEmpty();
  const watchdog = createLoop({
    ...{ name: "watchdog of checks", clock, everyMs: checkMs / polls, startsAtOnce: true },
    round() {
      poll();
      return isBusy() ? undefined : Number.POSITIVE_INFINITY;
    },
  });
  void watchdog.start();

  function poll(): void {
    const lateMs = clock.monotonicMs() - maxWaitMs;
    refuseWaiting(isAbandoned, refusal("cancelled", []));
    refuseWaiting(({ sinceMs }) => sinceMs < lateMs, unavailable("checks of other inputs take too long", busyRetryMs));
    if (sent.size > 0 && thread) {
      const { number, index } = thread.progress();
      const now = `${number} ${index} ${[...sent.keys()].join()}`;
      stale = now === seen ? stale + 1 : 0;
      seen = now;
      if (stale >= polls) onBroken(`it took longer than ${checkMs} ms (taskCheckMs)`);
    }
  }

  /** Refuses the input whose check broke the thread. Its other inputs are checked by the next thread. */
  function onBroken(why: string): void {
    const { number, index } = thread?.progress() ?? { number: 0, index: 0 };
    const culprit = sent.get(number);
    endThread();
    const unfinished = [...sent.values()].filter((each) => each !== culprit).map(({ batch }) => batch);
    sent.clear();
    if (culprit) {
      const { batch, indices } = culprit;
      const at = indices[index] as number;
      const { task } = batch.inputs[at] as CheckInput;
      log.warn({ task, error: why }, "a check broke its thread, which is replaced");
      batch.answers[at] = refusal("check_failed", [task, why]);
      putBack([batch], "last");
    } else log.warn({ error: why }, "the thread that checks inputs broke outside of a check, and is replaced");
    putBack(unfinished, "first", culprit === undefined);
    if (!waiting.isEmpty()) void restart();
  }

  function putBack(batches: readonly Batch[], place: "last" | "first", isToBlame = true): void {
    for (const batch of batches) {
      if (isToBlame) batch.broken += 1;
      if (!batch.answers.includes(undefined)) finish(batch);
      else if (batch.broken >= maxBroken)
        refuseRest(batch, unavailable("others of the same submit broke it", busyRetryMs));
      else waiting.add(batch, place);
    }
  }

  function endThread(): void {
    const ended = thread;
    thread = undefined;
    stale = 0;
    if (!ended) return;
    ending.add(ended);
    void ended.end().then(() => ending.delete(ended));
  }

  function refuseRest(batch: Batch, error: MillpondError): void {
    for (const [index, answer] of batch.answers.entries()) batch.answers[index] = answer === undefined ? error : answer;
    finish(batch);
  }

  function refuseWaiting(isMeant: (batch: Batch) => boolean, error: MillpondError): void {
    for (const batch of waiting.remove(isMeant)) refuseRest(batch, error);
  }

  function finish(batch: Batch): void {
    batch.done(batch.answers as (MillpondError | null)[]);
  }

  function reportOnce(task: string, why: string): void {
    if (reported.has(task)) return;
    reported.add(task);
    log.warn({ task, error: why }, "a check did not say what is wrong with an input");
  }

  /** Why nothing can be checked now; undefined if it can. */
  function refusalNow(): MillpondError | undefined {
    if (isStopped) return unavailable("the server is shutting down", busyRetryMs);
    const pauseMs = retryAtMs - clock.monotonicMs();
    if (!thread && !isStarting && pauseMs > 0) return unavailable("its thread cannot be started", Math.ceil(pauseMs));
    return undefined;
  }

  async function checkBatch(
    inputs: readonly CheckInput[],
    call: CheckCall,
  ): Promise<readonly (MillpondError | null)[]> {
    const error = call.signal?.aborted ? refusal("cancelled", []) : refusalNow();
    if (error) return inputs.map(() => error);
    const { promise, fire: done } = createSignal<readonly (MillpondError | null)[]>();
    const answers = inputs.map(() => undefined);
    waiting.add({ call, inputs, answers, done, broken: 0, sinceMs: clock.monotonicMs() }, "last");
    if (thread) send();
    else void restart();
    if (isBusy()) watchdog.wake();
    return promise;
  }

  /** Counts the bytes of a call that starts or ends. */
  function count({ client }: CheckCall, change: number): void {
    bytes += change;
    const left = (bytesOf.get(client) ?? 0) + change;
    if (left > 0) bytesOf.set(client, left);
    else bytesOf.delete(client);
    if (bytes === 0) onIdle?.();
  }

  async function stop(): Promise<void> {
    isStopped = true;
    void watchdog.stop();
    endThread();
    const error = unavailable("the server is shutting down", busyRetryMs);
    for (const { batch } of sent.values()) refuseRest(batch, error);
    sent.clear();
    refuseWaiting(() => true, error);
    await within(clock, endMs, Promise.all([...ending].map((each) => each.end())));
  }

  return {
    async load(urls) {
      const startedMs = clock.monotonicMs();
      const reports: FileReport[] = [];
      while (reports.length < urls.length && clock.monotonicMs() - startedMs < loadMs) {
        const started = await start(urls.slice(reports.length));
        reports.push(...started.reports);
        if (started.thread) break;
      }
      files = urls.filter((_, index) => {
        const report = reports[index];
        return report?.kind === "task" && report.task.hasCheck;
      });
      if (files.length === 0) endThread();
      return reports;
    },
    async check(inputs, call) {
      if (bytes > maxBytes || (bytesOf.get(call.client) ?? 0) > maxClientBytes) {
        return inputs.map(() => unavailable("too many inputs wait for it", busyRetryMs));
      }
      const size = inputs.reduce((total, each) => total + sizeOf(each), 0);
      count(call, size);
      const answers: (MillpondError | null)[] = [];
      while (answers.length < inputs.length) {
        answers.push(...(await checkBatch(batchFrom(inputs, answers.length), call)));
      }
      count(call, -size);
      return answers;
    },
    async retire() {
      const idle = createSignal();
      onIdle = idle.fire;
      if (bytes === 0) idle.fire();
      await idle.promise;
      await stop();
    },
    stop,
  };
}

function unavailable(why: string, retryAfterMs: number): MillpondError {
  return refusal("check_unavailable", [why, retryAfterMs], { retryAfterMs });
}

function isAbandoned({ call }: Batch): boolean {
  return call.signal?.aborted === true;
}

/** The inputs from `start` that fit into one batch. */
function batchFrom(inputs: readonly CheckInput[], start: number): readonly CheckInput[] {
  let end = start;
  for (let size = 0; end < inputs.length && end < start + maxInputs; end += 1) {
    size += sizeOf(inputs[end] as CheckInput);
    if (end > start && size > maxBatchBytes) break;
  }
  return inputs.slice(start, end);
}

function sizeOf({ input }: CheckInput): number {
  return inputBytes + (input?.bytes.length ?? 0);
}
