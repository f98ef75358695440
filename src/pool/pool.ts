/**
 * A bounded set of worker threads that run chunks of jobs. The queue is not here: the dispatcher sends a chunk only
 * when a worker is free.
 */
import { randomUUID } from "node:crypto";
import { Piscina } from "piscina";
import { systemClock as clock } from "../clock.ts";
import { createSignal } from "../lifecycle.ts";
import type { Log } from "../log.ts";
import { messageOf } from "../errors.ts";
import type { Failure, Lease, Outcome } from "../job/job.ts";
import {
  type Chunk,
  type ChunkOutcome,
  createFlags,
  flagsOf,
  maxChunk,
  type Note,
  noJob,
  type ThreadData,
} from "./chunk.ts";
import type { LoadedTask } from "./tasks.ts";

/** How an attempt ended, with what was measured. */
export type Ended = {
  readonly lease: Lease;
  readonly outcome: Outcome;
  readonly startedAt: number;
  readonly finishedAt: number;
  readonly tookMs: number;
};

export type Progress = { readonly fraction: number; readonly note: string };

export type Pool = {
  readonly name: string;
  readonly minWorkers: number;
  readonly maxWorkers: number;
  /** Threads that exist now. */
  workers(): number;
  /** Chunks that may be run now without waiting for a worker. */
  free(): number;
  /**
   * Runs jobs one after the other on one thread: 1 to `maxChunk` of them, only while `free()` is above 0. Never
   * rejects: when the thread dies, the job it was running has failed and the others are released; when it died before
   * or between jobs, all are lost. Large inputs are handed over to the thread: they are empty here afterwards.
   */
  run(leases: readonly Lease[]): Promise<readonly Ended[]>;
  /** What a running job last said; undefined when it said nothing. */
  progressOf(seq: number): Progress | undefined;
  /**
   * Tells every running job to stop, through `ctx.signal` and `ctx.throwIfCancelled()`; those that obey, and those that
   * did not begin, are released. From now on `run` releases what it is given.
   */
  cancelAll(): void;
  /** Ends every thread. Jobs still running are released. Safe to repeat. */
  destroy(): Promise<void>;
};

export type PoolOptions = {
  readonly name: string;
  /** `cpu` pools park their threads between jobs, which is quicker; others let timers and sockets go on. */
  readonly work: "cpu" | "io" | "mixed" | "limited";
  readonly minWorkers: number;
  readonly maxWorkers: number;
  /** A thread above `minWorkers` that was idle for this long ends. */
  readonly idleMs: number;
  readonly tasks: readonly LoadedTask[];
  readonly maxOutputBytes: number;
  /** Wall-clock milliseconds, for attempts whose thread could not tell. */
  readonly now: () => number;
  readonly log: Log;
};

/** Threads of a `cpu` pool run at lower priority, so that they never starve the thread that serves the network. */
const cpuNice = 5;
/** How long ending a pool waits for threads that are still starting. */
const bootMs = 5_000;
/** From this size on an input is handed over instead of cloned; below, the handing over costs more. */
const transferFromBytes = 16 * 1024;

export function createPool(options: PoolOptions): Pool {
  const { name, work, minWorkers, maxWorkers, now, log } = options;
  const flags = createFlags(maxWorkers);
  const bell = new BroadcastChannel(`millpond-pool-${randomUUID()}`);
  bell.unref();
  const freeSlots = Array.from({ length: maxWorkers }, (_, slot) => slot);
  const running = new Map<number, readonly Lease[]>();
  const progress = new Map<number, Progress>();
  let isStopping = false;
  /** Threads that have loaded their tasks. */
  const booted = new Set<number>();
  let onBoot = () => {};
  let isDestroyed = false;

  const tasks = options.tasks.map(({ name, file, settings }) => ({ name, file, settings }));
  const threads = new Piscina({
    filename: new URL(import.meta.url.endsWith(".ts") ? "./worker.ts" : "./worker.js", import.meta.url).href,
    minThreads: minWorkers,
    maxThreads: maxWorkers,
    idleTimeout: options.idleMs,
    maxQueue: maxWorkers, // chunks wait here only while their thread boots
    atomics: work === "cpu" ? "sync" : "disabled",
    niceIncrement: work === "cpu" ? cpuNice : 0,
    recordTiming: false,
    workerData: { tasks, flags, bell: bell.name, maxOutputBytes: options.maxOutputBytes } satisfies ThreadData,
  });
  threads.on("error", (error) =>
    log.error({ pool: name, error: messageOf(error) }, "a worker failed outside of a job"),
  );
  threads.on("message", (note: Note) => {
    if (note.kind === "ready") {
      booted.add(note.thread);
      onBoot();
    } else if (note.kind === "progress") {
      // it may come after the job's end, and would then stay for ever
      if (isRunning(note.seq)) progress.set(note.seq, { fraction: note.fraction, note: note.note });
    } else {
      const { id, task, attempt, level, text, fields } = note;
      log[level]({ job: id, task, attempt, fields }, text);
    }
  });

  const isRunning = (seq: number) => [...running.values()].some((leases) => leases.some((lease) => lease.seq === seq));

  async function run(leases: readonly Lease[]): Promise<readonly Ended[]> {
    if (isStopping) return afterDeath(leases, noJob, undefined, now());
    const slot = freeSlots.pop();
    if (slot === undefined) throw new Error(`pool "${name}" has no free worker`);
    const shared = flagsOf(flags, slot).fill(0);
    shared[0] = noJob;
    running.set(slot, leases);
    const sentAt = now();
    try {
      const chunk: Chunk = {
        slot,
        jobs: leases.map(({ seq, id, task, attempt, input }) => ({ seq, id, task, attempt, input })),
      };
      // piscina takes a list of buffers, whatever its types say
      const outcomes = (await threads.run(chunk, {
        transferList: largeInputs(leases) as never,
      })) as readonly ChunkOutcome[];
      return outcomes.map((ended, index) => endedOf(leases[index] as Lease, ended));
    } catch (error) {
      return afterDeath(leases, Atomics.load(shared, 0), error, sentAt);
    } finally {
      running.delete(slot);
      freeSlots.push(slot);
      if (progress.size > 0) for (const { seq } of leases) progress.delete(seq);
    }
  }

  function endedOf(lease: Lease, { output, failure, startedAt, finishedAt, tookMs }: ChunkOutcome): Ended {
    const outcome: Outcome = failure
      ? isStopping && failure.reason === "cancelled"
        ? { kind: "released" }
        : { kind: "failed", failure }
      : { kind: "succeeded", output: output ?? null };
    return { lease, outcome, startedAt, finishedAt, tookMs };
  }

  /** A thread died: only the job it was running is to blame, if any. */
  function afterDeath(leases: readonly Lease[], culprit: number, error: unknown, sentAt: number): readonly Ended[] {
    const finishedAt = now();
    if (!isStopping) log.warn({ pool: name, error: messageOf(error) }, "a worker died and is replaced");
    const fateOf = (index: number): Outcome => {
      if (isStopping) return { kind: "released" };
      if (culprit === noJob) return { kind: "lost", crashed: false };
      return index === culprit ? { kind: "failed", failure: deathOf(error) } : { kind: "released" };
    };
    const measured = { startedAt: sentAt, finishedAt, tookMs: finishedAt - sentAt };
    return leases.map((lease, index) => ({ lease, outcome: fateOf(index), ...measured }));
  }

  /** A thread that is ended in the middle of its boot was seen to park all the same, and then never to end. */
  async function allBooted(): Promise<void> {
    const isBooting = () => threads.threads.some(({ threadId }) => !booted.has(threadId));
    if (!isBooting()) return;
    const done = createSignal();
    const cancel = clock.after(bootMs, done.fire);
    onBoot = () => {
      if (!isBooting()) done.fire();
    };
    await done.promise;
    cancel();
  }

  return {
    name,
    minWorkers,
    maxWorkers,
    workers: () => threads.threads.length,
    free: () => freeSlots.length,
    run,
    progressOf: (seq) => progress.get(seq),
    cancelAll() {
      isStopping = true;
      for (const [slot, leases] of running) {
        const shared = flagsOf(flags, slot);
        for (let flag = 1; flag <= Math.min(leases.length, maxChunk); flag += 1) {
          Atomics.store(shared, flag, 1);
        }
      }
      if (!isDestroyed) bell.postMessage(null);
    },
    async destroy() {
      isStopping = true;
      isDestroyed = true;
      bell.close();
      await allBooted();
      await threads.destroy();
    },
  };
}

/** Buffers that are cheaper to hand over than to clone. A view stays: its buffer may belong to others too. */
function largeInputs(leases: readonly Lease[]): ArrayBuffer[] {
  const buffers: ArrayBuffer[] = [];
  for (const { input } of leases) {
    if (!input || input.bytes.length < transferFromBytes || input.bytes.length !== input.bytes.buffer.byteLength)
      continue;
    buffers.push(input.bytes.buffer as ArrayBuffer);
  }
  return buffers;
}

function deathOf(error: unknown): Failure {
  if ((error as { code?: unknown }).code === "ERR_WORKER_OUT_OF_MEMORY") {
    return { reason: "out_of_memory", message: "the worker ran out of memory during this job", retryable: true };
  }

  return {
    reason: "worker_died",
    message: `the worker ended during this job: ${messageOf(error)}`,
    retryable: true,
  };
}
