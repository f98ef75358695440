/** The port of a pool: the interface that the engine uses. */
import type { Clock } from "../clock.ts";
import type { JsonValue, Lease, Outcome } from "../job/job.ts";
import type { SpanRecord } from "../job/trace.ts";
import type { Log } from "../log.ts";
import type { OutputBounds } from "./codec.ts";
import type { Sources } from "./module-hooks.ts";
import type { ResourceHost } from "./resources/host.ts";
import type { Bounds } from "./size.ts";
import type { LogLevel } from "./task-log.ts";
import type { LoadedTask } from "./tasks.ts";

/** How an attempt ended, with measurements. */
export type Ended = {
  readonly lease: Lease;
  readonly outcome: Outcome;
  readonly startedAt: number;
  readonly finishedAt: number;
  readonly tookMs: number;
  /** Spans that the task recorded; absent for most attempts. */
  readonly spans?: readonly SpanRecord[];
  /** Number of spans beyond the bounds. */
  readonly droppedSpans?: number;
};

export type Progress = { readonly fraction: number; readonly note: string };

/** Reports of a running attempt. */
export type AttemptEvent =
  | { readonly kind: "progress"; readonly progress: Progress }
  | {
      readonly kind: "log";
      readonly level: LogLevel;
      readonly text: string;
      readonly fields: { readonly [key: string]: JsonValue };
    };

/** Callbacks of `run`. Each job is reported exactly once, by `onEnded` or `onReleased`, and never before `run` returns. */
export type RunCallbacks = {
  /**
   * Called with ended attempts, in the chunk's order. Those in front of a slow job are reported soon after their end,
   * while the chunk continues.
   */
  readonly onEnded: (ended: readonly Ended[]) => void;
  /**
   * Called with jobs that were withdrawn before they started, from behind a slow job, by `withdraw` or by `releaseAll`:
   * they may be run elsewhere at once. Absent: jobs stay behind a slow one, and those withdrawn by the methods end as
   * `released`.
   */
  readonly onReleased?: (leases: readonly Lease[]) => void;
  /** Called with progress and log lines. A line may come after the job's end. The lines are already in the server's log. */
  readonly onEvent?: (lease: Lease, event: AttemptEvent) => void;
};

export type Pool = {
  readonly name: string;
  /** Jobs that one worker runs at once. */
  readonly concurrency: number;
  /** The bounds of the last `resize`, initially the configured ones. */
  bounds(): Bounds;
  /** The number of workers that the pool may have now, within the bounds: the upper bound until `setTarget` is called. */
  target(): number;
  /** Number of existing workers, including starting ones. Exceeds the target while busy workers are above it. */
  workers(): number;
  /** Number of workers that have at least one job. */
  busyWorkers(): number;
  /**
   * Workers start when jobs arrive, up to the target; at least `min` always exist. A worker that was idle for `idleMs`
   * ends while there are more than `min`; a busy one never does. So a lower target does not end workers by itself:
   * those above it get no more jobs, and end when idle. A target beyond the bounds counts as the bound.
   */
  setTarget(workers: number): void;
  /** Sets the bounds, with `0 <= min <= max` and `max >= 1`, and clamps the target to them. Running jobs continue. */
  resize(bounds: Bounds): void;
  /**
   * Number of chunks that can run now without waiting for a running one, within the target, which counts as 1 when it
   * is 0. A worker may have to start for them.
   */
  free(): number;
  /**
   * Whether a job can get a thread. False while starting threads die or hang and no working one is left; and while
   * threads that are being terminated occupy all slots, usually only for a moment. Even without jobs, a thread start is
   * retried about every two seconds.
   */
  canRun(): boolean;
  /** How long this job has waited for a starting thread; undefined: a thread has it, or it is not in this pool. */
  startingMs(seq: number): number | undefined;
  /**
   * Runs jobs one after the other on one thread: 1 to `maxChunk` of them, only while `free()` is above 0. Resolves once
   * every job is reported and the worker is free. Never rejects: if the thread dies, the job it was running has failed
   * and the others end as `released`.
   */
  run(leases: readonly Lease[], callbacks: RunCallbacks): Promise<void>;
  /** The last progress report of a running job; undefined if there is none. */
  progressOf(seq: number): Progress | undefined;
  /**
   * Asks one running job to stop, through `ctx.signal` and `ctx.throwIfCancelled()`: its outcome is `cancelled`, unless
   * it succeeds first. After `graceMs` its thread is terminated; jobs that shared it are released. A job that waits in
   * its chunk is withdrawn. False: it is not in this pool. With a fence, only the attempt with that fence is cancelled.
   */
  cancel(seq: number, fence?: number): boolean;
  /** Withdraws jobs that have not started, even if a worker is still starting. Running jobs continue. */
  withdraw(): void;
  /**
   * Asks every running job to stop; those that stop, and those that have not started, are released. From now on `run`
   * releases its jobs.
   */
  releaseAll(): void;
  /**
   * Terminates every thread. Jobs still running are released. A thread that Node cannot terminate is left running with
   * a line in the log: this resolves within ten seconds, plus `graceMs` for the teardown of resources. Safe to repeat.
   */
  destroy(): Promise<void>;
};

/** The parts of a task that a worker thread needs, as plain data. */
export type PoolTask = Pick<LoadedTask, "name" | "file" | "settings" | "timeoutMs" | "resources"> & {
  /** A thread loads it for its first job of this task, and not at its start; its resources are not probed. Default: false. */
  readonly isLoadedLate?: boolean;
};

/** The code that the threads of a pool load. */
export type PoolCode = {
  readonly tasks: readonly PoolTask[];
  /** Files that threads load from memory, even if the disk has changed since. Null: from disk. */
  readonly sources: Sources | null;
};

export type PoolOptions = PoolCode & {
  readonly name: string;
  /**
   * `cpu` pools park their threads between jobs, which is faster; in others, and in pools whose tasks use resources,
   * the event loop keeps running for timers and sockets.
   */
  readonly work: "cpu" | "io" | "mixed" | "limited";
  readonly minWorkers: number;
  readonly maxWorkers: number;
  /** Whether one worker always exists, even with a `min` of 0, to probe resources. Default: false. */
  readonly isProbing?: boolean;
  /** Jobs that one worker runs at once. Default: 1. */
  readonly concurrency?: number;
  /** A thread above `minWorkers` ends after being idle for this long. */
  readonly idleMs: number;
  /** Grants permits to the threads, and receives reports on their resources. */
  readonly resourceHost: Pick<ResourceHost, "join">;
  readonly outputBounds: OutputBounds;
  readonly clock: Clock;
  /** Whether spans from `ctx.span` are reported. Default: false; true if spans are exported. */
  readonly isTraced?: boolean;
  /** How long a thread may take to load one task: one that takes longer is terminated, and another is started after a pause. */
  readonly loadMs: number;
  /** How long a job may take to stop once it is asked to. */
  readonly graceMs: number;
  /**
   * How often a job is released, its attempt not counted, because a fault of unknown origin or of leftovers of an ended
   * job ended its thread; each further time is a failed attempt. Faults of other running jobs are not counted. Default:
   * 5. Use 0 where only one job ever runs, because no other can be to blame.
   */
  readonly maxHandBacks?: number;
  /** Called when a thread has loaded its tasks. */
  readonly onReady?: () => void;
  readonly log: Log;
};
