/**
 * A pool without threads, by a clock that the test moves. What its jobs do is the test's: a task per attempt, or, without
 * one, chunks that are held until the test ends them. It passes the same conformance suite as the real pools.
 */
import type { Clock } from "../../src/clock.ts";
import type { Lease, Outcome } from "../../src/job/job.ts";
import { createSignal, type Signal } from "../../src/lifecycle.ts";
import type { StopReason } from "../../src/pool/chunk.ts";
import type { AttemptEvent, Ended, Pool, Progress, RunCallbacks } from "../../src/pool/port.ts";
import { type Bounds, createPoolSize } from "../../src/pool/size.ts";
import { succeeded } from "../support/samples.ts";

/** An attempt, as the code of its task sees it. */
export type FakeAttempt = {
  readonly lease: Lease;
  /** No two chunks of a pool have the same. */
  readonly thread: number;
  /** Why it was asked to stop. */
  stopReason(): StopReason | undefined;
  /** Has no effect once the attempt is over. */
  later(ms: number, action: () => void): void;
  report(event: AttemptEvent): void;
  /** Ends the attempt. One that was asked to stop and does not succeed has stopped. */
  end(outcome: Outcome, tookMs?: number): void;
  /** Ends its thread, by an error that nothing catches. */
  die(): void;
};

/** What the tasks of a pool do. */
export type FakeTasks = {
  begin(attempt: FakeAttempt): void;
  onStop?(attempt: FakeAttempt, reason: StopReason): void;
  /** However it ended; undefined: with its thread, or with the process. */
  onEnd?(attempt: FakeAttempt, outcome: Outcome | undefined): void;
};

/** A chunk that a worker has until the test ends it. */
export type HeldChunk = {
  readonly leases: readonly Lease[];
  /** All its jobs end in the same way. */
  end(outcome?: Outcome, tookMs?: number): void;
  /** Its first jobs, so many, have succeeded, and the chunk goes on. */
  endFirst(count: number, tookMs?: number): void;
  /** The jobs from this one on are taken back before they begin, and the chunk goes on. */
  releaseFrom(index: number): void;
};

export type FakePoolParts = {
  /** A number: so many are always there. */
  readonly workers: number | Bounds;
  readonly clock: Clock;
  /** A worker above the lower bound ends after it was idle for so long. Default: never. */
  readonly idleMs?: number;
  readonly name?: string;
  readonly tasks?: FakeTasks;
  /** How long a job may take to stop. Default: for ever. */
  readonly graceMs?: number;
  /** Bound on an attempt that asks for none. Default: none. */
  readonly timeoutMs?: number;
  /** How long a thread takes to take its chunk. Default: no time. */
  readonly takeMs?: () => number;
  /** A chunk was sent, while a worker was free or not. Default: without one, `run` rejects. */
  readonly onRun?: (isFree: boolean) => void;
  readonly count?: (what: "thread deaths" | "neighbours withdrawn" | "chunks of several") => void;
};

export type FakePool = Pool & {
  /** Chunks that are running, oldest first. */
  readonly held: HeldChunk[];
  /** Sizes of all chunks that were run. */
  readonly sizes: number[];
  /** Jobs that were asked to stop, by `seq`, in order. */
  readonly told: number[];
  /** Whether its threads start. */
  canRun: () => boolean;
  /** Most chunks that ran at once. */
  most(): number;
  /** Ends everything that runs. */
  endAll(outcome?: Outcome, tookMs?: number): void;
  /** Attempts that run now. */
  attempts(): readonly FakeAttempt[];
  /** Jobs that run or wait for their neighbours. */
  busy(): number;
};

type Attempt = FakeAttempt & { readonly index: number; readonly startedAt: number; readonly beganMs: number };

type Chunk = HeldChunk & {
  readonly number: number;
  readonly callbacks: RunCallbacks;
  readonly done: Signal;
  /** How each job ended that has; `released`: it was taken back and reported. */
  readonly ends: (Ended | "released" | undefined)[];
  /** Jobs in front whose end is reported. */
  reported: number;
  current: Attempt | undefined;
  stop: StopReason | undefined;
  cancels: (() => void)[];
};

/** As in the real pool: a job that runs for so long gives those behind it back. */
const slowMs = 50;
/** As there: the outcomes of those in front of it are reported by then. */
const earlyMs = 20;
const minTookMs = 0.01;
const held: FakeTasks = { begin() {} };

export function createFakePool(parts: FakePoolParts): FakePool {
  const { workers, clock, name = "cpu", tasks = held, count = () => {} } = parts;
  const { graceMs = Number.POSITIVE_INFINITY, timeoutMs = Number.POSITIVE_INFINITY } = parts;
  const { idleMs = Number.POSITIVE_INFINITY } = parts;
  const size = createPoolSize(typeof workers === "number" ? { min: workers, max: workers } : workers);
  const chunks: Chunk[] = [];
  /** The timers of idle workers. */
  const idle: (() => void)[] = [];
  const sizes: number[] = [];
  const told: number[] = [];
  const progress = new Map<number, Progress>();
  let most = 0;
  let isStopping = false;

  const countWorkers = () => idle.length + chunks.length;
  const free = () => Math.max(size.capacity() - chunks.length, 0);

  function addIdle(): void {
    let cancel = () => {};
    const expire = () => {
      if (countWorkers() > size.bounds().min) idle.splice(idle.indexOf(cancel), 1);
    };
    if (idleMs < Number.POSITIVE_INFINITY) cancel = clock.after(idleMs, expire);
    idle.push(cancel);
  }

  function startMissing(): void {
    while (countWorkers() < size.bounds().min) addIdle();
  }

  const timeoutOf = (lease: Lease) => lease.timeoutMs ?? timeoutMs;
  const unstarted = (lease: Lease, outcome: Outcome): Ended => {
    const now = clock.now();
    return { lease, outcome, startedAt: now, finishedAt: now, tookMs: 0 };
  };
  const later = (chunk: Chunk, ms: number, action: () => void) => {
    if (ms < Number.POSITIVE_INFINITY) chunk.cancels.push(clock.after(ms, action));
  };

  function beginNext(chunk: Chunk): void {
    if (chunk.current || !chunks.includes(chunk)) return;
    const index = chunk.ends.indexOf(undefined);
    const lease = chunk.leases[index];
    if (!lease) return over(chunk);
    if (lease.expiresAt !== null && clock.now() >= lease.expiresAt) {
      chunk.ends[index] = unstarted(lease, { kind: "expired", hasStarted: false });
      return beginNext(chunk);
    }
    const attempt = attemptOf(chunk, lease, index);
    chunk.current = attempt;
    chunk.stop = undefined;
    if (chunk.leases.length > 1) {
      later(chunk, earlyMs, () => reportEnded(chunk));
      later(chunk, slowMs, () => chunk.callbacks.onReleased && withdrawWaiting(chunk));
    }
    const leftMs = lease.expiresAt === null ? Number.POSITIVE_INFINITY : lease.expiresAt - clock.now();
    const limitMs = timeoutOf(lease);
    later(chunk, Math.min(limitMs, leftMs), () => requestStop(chunk, leftMs <= limitMs ? "expired" : "timed_out"));
    tasks.begin(attempt);
  }

  function attemptOf(chunk: Chunk, lease: Lease, index: number): Attempt {
    const isOver = () => chunk.current !== attempt;
    const attempt: Attempt = {
      ...{ lease, index, thread: chunk.number, startedAt: clock.now(), beganMs: clock.monotonicMs() },
      stopReason: () => (isOver() ? undefined : chunk.stop),
      later: (ms, action) => later(chunk, ms, action),
      report(event) {
        if (isOver()) return;
        if (event.kind === "progress") progress.set(lease.seq, event.progress);
        chunk.callbacks.onEvent?.(lease, event);
      },
      end(outcome, tookMs) {
        if (!isOver()) conclude(chunk, attempt, outcome, tookMs);
      },
      die() {
        if (!isOver()) kill(chunk);
      },
    };
    return attempt;
  }

  function conclude(chunk: Chunk, attempt: Attempt, given: Outcome, tookMs?: number): void {
    const outcome = chunk.stop && given.kind !== "succeeded" ? stopped(chunk.stop, attempt.lease) : given;
    finish(chunk, attempt, outcome, tookMs);
    tasks.onEnd?.(attempt, outcome);
    beginNext(chunk);
  }

  function finish(chunk: Chunk, attempt: Attempt, outcome: Outcome, took?: number): void {
    const { lease, index, startedAt, beganMs } = attempt;
    const tookMs = took ?? clock.monotonicMs() - beganMs;
    chunk.ends[index] = { lease, outcome, startedAt, finishedAt: Math.round(startedAt + tookMs), tookMs };
    chunk.current = undefined;
    progress.delete(lease.seq);
    quiet(chunk);
  }

  function requestStop(chunk: Chunk, reason: StopReason): void {
    const { current } = chunk;
    if (!current || chunk.stop) return;
    chunk.stop = reason;
    told.push(current.lease.seq);
    later(chunk, graceMs, () => {
      withdrawWaiting(chunk);
      kill(chunk);
    });
    tasks.onStop?.(current, reason);
  }

  /** Its thread ends. The job that was running is to blame; those that ended before it did not get their outcome out. */
  function kill(chunk: Chunk): void {
    count("thread deaths");
    const { current, stop } = chunk;
    for (const [index, lease] of chunk.leases.entries()) {
      const isKnown = index < chunk.reported || chunk.ends[index] === "released" || index === current?.index;
      if (!isKnown) chunk.ends[index] = unstarted(lease, { kind: "released" });
    }
    if (current) {
      const failure = { reason: "worker_died", message: "the worker ended during this job", retryable: true };
      finish(chunk, current, stop ? stopped(stop, current.lease) : { kind: "failed", failure });
      tasks.onEnd?.(current, undefined);
    }
    over(chunk, true);
  }

  /** Takes back those behind the one that runs. */
  function withdrawWaiting(chunk: Chunk, from = 0): void {
    const { onReleased } = chunk.callbacks;
    const taken: Lease[] = [];
    for (const [index, lease] of chunk.leases.entries()) {
      if (index < from || chunk.ends[index] || index === chunk.current?.index) continue;
      chunk.ends[index] = onReleased ? "released" : unstarted(lease, { kind: "released" });
      taken.push(lease);
    }
    if (taken.length === 0) return;
    count("neighbours withdrawn");
    onReleased?.(taken);
  }

  /** What has ended in front of the one that runs. */
  function reportEnded(chunk: Chunk): void {
    const end = chunk.ends.indexOf(undefined);
    const news = chunk.ends.slice(chunk.reported, end < 0 ? chunk.ends.length : end);
    chunk.reported += news.length;
    const ended = news.filter((each) => each !== undefined && each !== "released");
    if (ended.length > 0) chunk.callbacks.onEnded(ended);
  }

  function quiet(chunk: Chunk): void {
    for (const cancel of chunk.cancels.splice(0)) cancel();
  }

  function over(chunk: Chunk, isDead = false): void {
    quiet(chunk);
    chunks.splice(chunks.indexOf(chunk), 1);
    if (isDead) startMissing();
    else addIdle();
    reportEnded(chunk);
    chunk.done.fire();
  }

  function stopped(reason: StopReason, lease: Lease): Outcome {
    if (reason === "timed_out") return { kind: reason, timeoutMs: timeoutOf(lease) };
    return reason === "expired" ? { kind: reason, hasStarted: true } : { kind: reason };
  }

  function chunkOf(leases: readonly Lease[], callbacks: RunCallbacks): Chunk {
    const endNext = (outcome: Outcome, tookMs: number) => {
      beginNext(chunk);
      chunk.current?.end(outcome, tookMs);
    };
    const chunk: Chunk = {
      ...{ leases, callbacks, number: sizes.length, done: createSignal(), ends: leases.map(() => undefined) },
      ...{ reported: 0, current: undefined, stop: undefined, cancels: [] },
      end(outcome = succeeded, tookMs = minTookMs) {
        while (chunks.includes(chunk)) endNext(outcome, tookMs);
      },
      endFirst(some, tookMs = minTookMs) {
        for (let ended = 0; ended < some; ended += 1) endNext(succeeded, tookMs);
        reportEnded(chunk);
      },
      releaseFrom: (index) => withdrawWaiting(chunk, index),
    };
    return chunk;
  }

  function releaseAll(): void {
    isStopping = true;
    for (const chunk of [...chunks]) {
      withdrawWaiting(chunk);
      if (chunk.current) requestStop(chunk, "released");
      else over(chunk);
    }
  }

  startMissing();
  return {
    ...{ name, held: chunks, sizes, told, concurrency: 1 },
    ...{ bounds: size.bounds, target: size.target, setTarget: size.setTarget },
    workers: countWorkers,
    busyWorkers: () => chunks.length,
    resize(bounds) {
      size.resize(bounds);
      for (const cancel of idle.splice(0)) {
        cancel();
        addIdle();
      }
      startMissing();
    },
    free,
    canRun: () => true,
    startingMs: () => undefined,
    async run(leases, callbacks) {
      const isFree = free() > 0;
      if (parts.onRun) parts.onRun(isFree || isStopping);
      else if (!isFree && !isStopping) throw new Error("a chunk was sent to a pool without a free worker");
      if (!isFree || isStopping) {
        await Promise.resolve();
        return callbacks.onEnded(leases.map((lease) => unstarted(lease, { kind: "released" })));
      }
      sizes.push(leases.length);
      if (leases.length > 1) count("chunks of several");
      const chunk = chunkOf(leases, callbacks);
      idle.pop()?.();
      chunks.push(chunk);
      most = Math.max(most, chunks.length);
      if (parts.takeMs) later(chunk, parts.takeMs(), () => beginNext(chunk));
      else queueMicrotask(() => beginNext(chunk));
      await chunk.done.promise;
    },
    progressOf: (seq) => progress.get(seq),
    cancel(seq, fence) {
      for (const chunk of chunks) {
        const index = chunk.leases.findIndex((lease) => lease.seq === seq && (fence ?? lease.fence) === lease.fence);
        if (index < 0 || chunk.ends[index]) continue;
        if (index === chunk.current?.index) requestStop(chunk, "cancelled");
        else chunk.ends[index] = unstarted(chunk.leases[index] as Lease, { kind: "cancelled" });
        return true;
      }
      return false;
    },
    withdraw() {
      for (const chunk of chunks) withdrawWaiting(chunk);
    },
    releaseAll,
    async destroy() {
      releaseAll();
      for (const chunk of [...chunks]) kill(chunk);
    },
    most: () => most,
    endAll(outcome, tookMs) {
      for (const chunk of [...chunks]) chunk.end(outcome, tookMs);
    },
    attempts: () => chunks.map(({ current }) => current).filter((current) => current !== undefined),
    busy: () => chunks.reduce((sum, { ends }) => sum + ends.filter((end) => end === undefined).length, 0),
  };
}
