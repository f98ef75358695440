/** What the engine knows of a pool. */
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

/** How an attempt ended, with what was measured. */
export type Ended = {
  readonly lease: Lease;
  readonly outcome: Outcome;
  readonly startedAt: number;
  readonly finishedAt: number;
  readonly tookMs: number;
  /** What the task made within the attempt; absent: none, as of most. */
  readonly spans?: readonly SpanRecord[];
  /** Spans beyond the bounds, of which nothing else is known. */
  readonly droppedSpans?: number;
};

export type Progress = { readonly fraction: number; readonly note: string };

/** What an attempt reports while it runs. */
export type AttemptEvent =
  | { readonly kind: "progress"; readonly progress: Progress }
  | {
      readonly kind: "log";
      readonly level: LogLevel;
      readonly text: string;
      readonly fields: { readonly [key: string]: JsonValue };
    };

/** What `run` reports of its jobs. Each job is reported once, by `onEnded` or by `onReleased`; never before `run` returns. */
export type RunCallbacks = {
  /**
   * Attempts that ended, in the chunk's order. Those in front of a slow job are reported soon after their end, while the
   * chunk goes on.
   */
  readonly onEnded: (ended: readonly Ended[]) => void;
  /**
   * Jobs that were taken back before they began, from behind a slow job, by `withdraw` or by `releaseAll`: they may be run
   * elsewhere at once. Absent: a slow job keeps those behind it, and what the others take back has ended as `released`.
   */
  readonly onReleased?: (leases: readonly Lease[]) => void;
  /** Progress and log lines. A line may come after the job's end. The server's log has the lines already. */
  readonly onEvent?: (lease: Lease, event: AttemptEvent) => void;
};

export type Pool = {
  readonly name: string;
  /** Jobs that one worker runs at once. */
  readonly concurrency: number;
  /** As `resize` set them last, at first as configured. */
  bounds(): Bounds;
  /** Workers that the pool may have now, within the bounds: the upper bound until `setTarget` is called. */
  target(): number;
  /** Workers that exist now, those that are starting included. More than the target while busy ones are above it. */
  workers(): number;
  /** Of these, those that have at least one job. */
  busyWorkers(): number;
  /**
   * Workers start when jobs come, up to the target; `min` of them are there in any case. One that was idle for `idleMs` ends
   * while there are more than `min`; a busy one never does. So a lower target ends nothing by itself: it keeps the workers
   * above it from getting jobs, and idle they end. A target beyond the bounds counts as the bound.
   */
  setTarget(workers: number): void;
  /** Sets the bounds, with `0 <= min <= max` and `max >= 1`, and moves the target into them. What runs goes on. */
  resize(bounds: Bounds): void;
  /**
   * Chunks that may be run now without waiting for one that runs: within the target, which counts as 1 when it is 0. A worker
   * may have to start for them.
   */
  free(): number;
  /**
   * Whether a job can get a thread. False while those that start die or hang before they are ready and none is left that
   * works; and while all workers' places are taken by threads that were asked to end and have not, which is most often over
   * at once. Also without any job a thread is tried again about every two seconds.
   */
  canRun(): boolean;
  /** How long this job has waited for a thread that starts; undefined: a thread has it, or it is not here. */
  startingMs(seq: number): number | undefined;
  /**
   * Runs jobs one after the other on one thread: 1 to `maxChunk` of them, only while `free()` is above 0. Resolves once
   * every job is reported and the worker is free. Never rejects: when the thread dies, the job it was running has failed and the others end as
   * `released`. The first job's input, when large, is transferred to the thread: it is empty here afterwards.
   */
  run(leases: readonly Lease[], callbacks: RunCallbacks): Promise<void>;
  /** The last report of a running job; undefined when there was none. */
  progressOf(seq: number): Progress | undefined;
  /**
   * Tells one running job to stop, through `ctx.signal` and `ctx.throwIfCancelled()`: its outcome is `cancelled`, unless it
   * succeeds first. After `graceMs` its thread is ended; jobs that shared it are released. One that waits behind others in
   * its chunk is never run. False: it does not run here. With a fence, only the attempt under it is meant.
   */
  cancel(seq: number, fence?: number): boolean;
  /** Takes back what did not begin, also where a worker is still starting. What runs goes on. */
  withdraw(): void;
  /**
   * Tells every running job to stop; those that obey, and those that did not begin, are released. From now on `run`
   * releases what it is given.
   */
  releaseAll(): void;
  /**
   * Ends every thread. Jobs still running are released. A thread that Node cannot end is left behind with a line in the
   * log: this resolves within ten seconds in any case, and `graceMs` more for the teardown of resources. Safe to repeat.
   */
  destroy(): Promise<void>;
};

/** What a worker thread needs to know of a task. Plain data. */
export type PoolTask = Pick<LoadedTask, "name" | "file" | "settings" | "timeoutMs" | "resources">;

/** What the threads of a pool load. */
export type PoolCode = {
  readonly tasks: readonly PoolTask[];
  /** Files that threads load as they are here, whatever the disk has by then. Null: as the disk has them. */
  readonly sources: Sources | null;
};

export type PoolOptions = PoolCode & {
  readonly name: string;
  /**
   * `cpu` pools park their threads between jobs, which is quicker; others let timers and sockets go on, and so does a pool
   * with a task that uses resources.
   */
  readonly work: "cpu" | "io" | "mixed" | "limited";
  readonly minWorkers: number;
  readonly maxWorkers: number;
  /** Whether one worker is there in any case, also with a `min` of 0: it probes resources. Default: false. */
  readonly isProbing?: boolean;
  /** Jobs that one worker runs at once. Default: 1. */
  readonly concurrency?: number;
  /** A thread above `minWorkers` that was idle for this long ends. */
  readonly idleMs: number;
  /** Where the threads get their permits, and report how their resources are. */
  readonly resourceHost: Pick<ResourceHost, "join">;
  readonly outputBounds: OutputBounds;
  readonly clock: Clock;
  /** Whether what tasks record with `ctx.span` is handed in. Default: false; true where spans are exported. */
  readonly isTraced?: boolean;
  /** How long a thread may take to load one task: one that takes longer is ended, and another tried after a pause. */
  readonly loadMs: number;
  /** How long a job may take to stop once it was asked to. */
  readonly graceMs: number;
  /**
   * How often a job is handed back, its attempt not counted, because a fault of unknown origin, or of what a job left
   * behind, ended its thread: each further time is a failed attempt. What a job under way does to its neighbours does not
   * count. Default: 5. 0 where only one job ever runs, for there no other job can be to blame.
   */
  readonly maxHandBacks?: number;
  /** A thread has loaded its tasks. */
  readonly onReady?: () => void;
  readonly log: Log;
};
