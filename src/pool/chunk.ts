/** The messages between the main thread and a worker thread: plain data that can be cloned. */
import type { MessagePort } from "node:worker_threads";
import type { Failure, JsonValue, Payload } from "../job/job.ts";
import { type DecodedJob, decodeJob } from "../job/record.ts";
import type { SpanRecord } from "../job/trace.ts";
import type { OutputBounds } from "./codec.ts";
import type { AttemptOrigin, Fault } from "./faults.ts";
import type { PoolTask, Progress } from "./port.ts";
import type { Sources } from "./module-hooks.ts";
import type { Pulse } from "./pulse.ts";
import type { PoolResource } from "./resources/protocol.ts";
import type { LogLevel } from "./task-log.ts";

/** Bound on the jobs in one chunk. */
export const maxChunk = 128;

/** Why an attempt is asked to stop. */
export type StopReason = "cancelled" | "timed_out" | "expired" | "released";

/** Jobs that one thread runs one after the other. */
export type Chunk = {
  /** Index of the chunk's part of the shared flags. */
  readonly slot: number;
  /** Unique number of the chunk within its slot. */
  readonly number: number;
  /**
   * `jobCells` numbers per job: its `seq`, attempt, fence, deadline (Infinity: none), and the end of its record in
   * `records`.
   */
  readonly jobs: Float64Array<ArrayBuffer>;
  /** The concatenated records of the jobs: sending one buffer costs a sixth of sending as many objects. */
  readonly records: Uint8Array<ArrayBuffer>;
};

export const jobCells = 5;

/** Sent instead of a chunk to probe whether a thread accepts it. */
export const noChunk = "no chunk";

/** A job as decoded by its thread. */
export type ChunkJob = Pick<DecodedJob, "id" | "task" | "timeoutMs" | "trace" | "input"> & {
  readonly seq: number;
  readonly attempt: number;
  readonly fence: number;
  /** Infinity: it has no deadline. */
  readonly expiresAt: number;
};

/** Decodes the job at this index of a chunk, when its turn comes. */
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

/** How one started job ended. */
export type ChunkOutcome = readonly [
  /** Milliseconds since 1970, with their fraction. */
  startedAt: number,
  /** By the thread's monotonic clock, in milliseconds. */
  tookMs: number,
  output: Payload | null,
  /** Why it did not succeed: its failure, or the reason for which it was asked to stop; null: it succeeded. */
  fault: Failure | StopReason | null,
  /** The last progress report, if any; a separate message might arrive after the outcome. */
  progress?: Progress | undefined,
  /** Present if the task recorded any and they will be exported. */
  spans?: RecordedSpans | undefined,
];

/** What a task recorded with `ctx.span`. */
export type RecordedSpans = {
  readonly records: readonly SpanRecord[];
  /** Number of spans beyond the bounds. */
  readonly dropped: number;
};

/** One per job of a chunk, in order; null: it did not start, and its flags hold the reason. */
export type ChunkOutcomes = readonly (ChunkOutcome | null)[];

/** The same in the form that is sent from the thread: see packed-outcomes.ts. */
export type PackedOutcomes = {
  readonly count: number;
  /**
   * `outcomeCells` numbers per job: start (NaN: it did not start), duration, end of its output, and the output's kind
   * and type; followed by the concatenated outputs.
   */
  readonly buffer: ArrayBuffer;
  /** The types of the outputs; usually only one. */
  readonly types: readonly string[];
  /** Data that few jobs have. */
  readonly rest: readonly OutcomeRest[];
};

/** Data that few outcomes have, with the index of the job. */
export type OutcomeRest = {
  readonly at: number;
  readonly fault: Failure | StopReason | null;
  readonly progress: Progress | undefined;
  readonly spans: RecordedSpans | undefined;
};

export const outcomeCells = 4;

/** Reports of a thread about itself and its chunks. */
export type ThreadMessage =
  /** The thread has resources: all messages about them go through this port, see resources/protocol.ts. */
  | { readonly kind: "resources"; readonly thread: number; readonly port: MessagePort }
  /** The thread starts to load a task. */
  | { readonly kind: "loading"; readonly thread: number; readonly task: string }
  /** The thread cannot load its tasks, and ends. */
  | { readonly kind: "unready"; readonly thread: number; readonly why: string }
  /** The thread has loaded its tasks; `pulse` shows the state of its event loop. */
  | { readonly kind: "ready"; readonly thread: number; readonly pulse: Pulse }
  /** The thread ends because of an uncaught error. */
  | (Fault & { readonly kind: "fault"; readonly thread: number })
  /** Outcomes of jobs from index `from` while their chunk continues. The outcomes of the chunk repeat them. */
  | {
      readonly kind: "ended";
      readonly slot: number;
      readonly chunk: number;
      readonly from: number;
      readonly outcomes: PackedOutcomes;
    }
  | AttemptMessage;

/** Reports of a running job. */
export type AttemptMessage =
  | (Sender & { readonly kind: "progress"; readonly fraction: number; readonly note: string })
  | (Sender &
      AttemptOrigin & {
        readonly kind: "log";
        readonly level: LogLevel;
        readonly text: string;
        readonly fields: { readonly [key: string]: JsonValue };
      });

/** Identifies the job; `seq` is needed because a slot may have another chunk by the time the message arrives. */
type Sender = { readonly slot: number; readonly index: number; readonly seq: number };

/** What a thread is given when it starts. */
export type ThreadTask = Required<Omit<PoolTask, "resources">>;

export type ThreadData = {
  /** Clock origin of the thread that created the pool, so that all threads agree on the time: see `originOf` in clock.ts. */
  readonly clockOrigin: number;
  readonly tasks: readonly ThreadTask[];
  /** The resources of these tasks. */
  readonly resources: readonly PoolResource[];
  /** Number of chunks that it may run at once. */
  readonly concurrency: number;
  /** See `PoolCode`. */
  readonly sources: Sources | null;
  /** The flags of all chunks: see flags.ts. */
  readonly flags: SharedArrayBuffer;
  /** The span logs of all slots, see span-log.ts; null: no spans are recorded, because none are exported. */
  readonly spanLogs: SharedArrayBuffer | null;
  /** Name of the BroadcastChannel that makes waiting threads check their flags. */
  readonly bell: string;
  /** Bounds on an output; a larger one fails the job. */
  readonly outputBounds: OutputBounds;
};
