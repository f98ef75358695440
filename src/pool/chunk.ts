/** The messages between the main thread and a worker thread. All of it is plain data that survives cloning. */
import type { MessagePort } from "node:worker_threads";
import type { Failure, JsonValue, Payload } from "../job/job.ts";
import { type DecodedJob, decodeJob } from "../job/record.ts";
import type { SpanRecord } from "../job/trace.ts";
import type { OutputBounds } from "./codec.ts";
import type { AttemptOrigin, Fault } from "./faults.ts";
import type { Progress } from "./port.ts";
import type { Sources } from "./module-hooks.ts";
import type { Pulse } from "./pulse.ts";
import type { PoolResource } from "./resources/protocol.ts";
import type { LogLevel } from "./task-log.ts";

/** Most jobs in one chunk. */
export const maxChunk = 128;

/** Why an attempt is asked to stop. */
export type StopReason = "cancelled" | "timed_out" | "expired" | "released";

/** Jobs that one thread runs one after the other, in one go. */
export type Chunk = {
  /** Which part of the shared flags belongs to this chunk. */
  readonly slot: number;
  /** Which chunk of the slot it is: no two have the same. */
  readonly number: number;
  /** Of each job `jobCells` numbers: its `seq`, attempt, fence and deadline (Infinity: none), and where its record ends. */
  readonly jobs: Float64Array<ArrayBuffer>;
  /** The jobs' records, end to end: one buffer crosses threads for a sixth of what as many objects cost. */
  readonly records: Uint8Array<ArrayBuffer>;
};

export const jobCells = 5;

/** Sent in place of a chunk to see whether there is a thread that takes it. */
export const noChunk = "no chunk";

/** A job as its thread knows it. */
export type ChunkJob = Pick<DecodedJob, "id" | "task" | "timeoutMs" | "trace" | "input"> & {
  readonly seq: number;
  readonly attempt: number;
  readonly fence: number;
  /** Infinity: it has no deadline. */
  readonly expiresAt: number;
};

/** The job at this place of a chunk, decoded when its turn comes. */
export function jobAt({ jobs, records }: Chunk, index: number): ChunkJob {
  const at = index * jobCells;
  const start = index === 0 ? 0 : (jobs[at - 1] as number);
  const { id, task, timeoutMs, trace, input } = decodeJob(records.subarray(start, jobs[at + 4]));
  return {
    ...{ id, task, timeoutMs, trace, input },
    seq: jobs[at] as number,
    attempt: jobs[at + 1] as number,
    fence: jobs[at + 2] as number,
    expiresAt: jobs[at + 3] as number,
  };
}

/** How one job that began ended. */
export type ChunkOutcome = readonly [
  /** Milliseconds since 1970, with their fraction. */
  startedAt: number,
  /** By the thread's monotonic clock, in milliseconds. */
  tookMs: number,
  output: Payload | null,
  /** Why it did not succeed: how it failed, or why it was asked to stop. */
  fault: Failure | StopReason | null,
  /** The last report, of a job that made any: as a message of its own it might be overtaken by the outcome. */
  progress?: Progress | undefined,
  /** Present when the task recorded any and they will be exported. */
  spans?: RecordedSpans | undefined,
];

/** What a task recorded with `ctx.span`. */
export type RecordedSpans = {
  readonly records: readonly SpanRecord[];
  /** Spans beyond the bounds. */
  readonly dropped: number;
};

/** Of each job of a chunk, in its order; null: it did not begin, and its flags hold the reason. */
export type ChunkOutcomes = readonly (ChunkOutcome | null)[];

/** The same as it crosses from the thread: see packed-outcomes.ts. */
export type PackedOutcomes = {
  readonly count: number;
  /**
   * Of each job `outcomeCells` numbers: start (NaN: it did not begin), duration, where its output ends, kind and type of that. Behind
   * them the outputs, end to end.
   */
  readonly buffer: ArrayBuffer;
  /** Their types; most are of one. */
  readonly types: readonly string[];
  /** What few jobs have. */
  readonly rest: readonly OutcomeRest[];
};

/** What few outcomes have, and whose it is. */
export type OutcomeRest = {
  readonly at: number;
  readonly fault: Failure | StopReason | null;
  readonly progress: Progress | undefined;
  readonly spans: RecordedSpans | undefined;
};

export const outcomeCells = 4;

/** What a thread reports of itself and of the chunk that it runs. */
export type ThreadMessage =
  /** The thread has resources: all messages about them go through this port, see resources/words.ts. */
  | { readonly kind: "resources"; readonly thread: number; readonly port: MessagePort }
  /** The thread begins to load a task. */
  | { readonly kind: "loading"; readonly thread: number; readonly task: string }
  /** The thread cannot load its tasks, and ends. */
  | { readonly kind: "unready"; readonly thread: number; readonly why: string }
  /** The thread has loaded its tasks, and shows here how its event loop is. */
  | { readonly kind: "ready"; readonly thread: number; readonly pulse: Pulse }
  /** An error in the thread was not caught, and it ends. */
  | (Fault & { readonly kind: "fault"; readonly thread: number })
  /** How some jobs of a chunk ended that goes on: those from index `from` on. The chunk's outcomes repeat them. */
  | {
      readonly kind: "ended";
      readonly slot: number;
      readonly chunk: number;
      readonly from: number;
      readonly outcomes: PackedOutcomes;
    }
  | AttemptMessage;

/** What a running job reports. */
export type AttemptMessage =
  | (Sender & { readonly kind: "progress"; readonly fraction: number; readonly note: string })
  | (Sender &
      AttemptOrigin & {
        readonly kind: "log";
        readonly level: LogLevel;
        readonly text: string;
        readonly fields: { readonly [key: string]: JsonValue };
      });

/** Where the job is: a slot may have another chunk by the time its message arrives. */
type Sender = { readonly slot: number; readonly index: number; readonly seq: number };

/** What a thread is given when it starts. */
export type ThreadData = {
  /** Of the clock of the thread that made the pool, so that all say the same time: see `originOf` in clock.ts. */
  readonly clockOrigin: number;
  readonly tasks: readonly {
    readonly name: string;
    readonly file: string;
    readonly settings: unknown;
    readonly timeoutMs: number;
  }[];
  /** What those tasks use. */
  readonly resources: readonly PoolResource[];
  /** Chunks that it may have at once. */
  readonly concurrency: number;
  /** See `PoolCode`. */
  readonly sources: Sources | null;
  /** The flags of all chunks: see flags.ts. */
  readonly flags: SharedArrayBuffer;
  /** The logs of all slots' spans, see span-log.ts; null: nothing is recorded, because nothing is exported. */
  readonly spanLogs: SharedArrayBuffer | null;
  /** Name of the BroadcastChannel that has threads which wait for something else read their flags. */
  readonly bell: string;
  /** A larger output fails the job. */
  readonly outputBounds: OutputBounds;
};
