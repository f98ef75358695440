/** What the main thread and a worker thread say to each other. All of it is plain data that survives cloning. */
import type { Failure, JsonValue, Payload } from "../job/job.ts";
import type { LogLevel } from "./task.ts";

/** Jobs that one thread runs one after the other, in one go. */
export type Chunk = {
  /** Which part of the shared flags belongs to this chunk. */
  readonly slot: number;
  readonly jobs: readonly ChunkJob[];
};

export type ChunkJob = {
  readonly seq: number;
  readonly id: string;
  readonly task: string;
  readonly attempt: number;
  readonly input: Payload | null;
};

/** How one job of a chunk ended, in the order of the chunk. Times are milliseconds since 1970. */
export type ChunkOutcome = {
  readonly output?: Payload | null;
  readonly failure?: Failure;
  readonly startedAt: number;
  readonly finishedAt: number;
  /** By the thread's monotonic clock, in milliseconds. */
  readonly tookMs: number;
};

/** What a thread says when it is ready, and a job while it runs. */
export type Note =
  /** The thread has loaded its tasks. */
  | { readonly kind: "ready"; readonly thread: number }
  | { readonly kind: "progress"; readonly seq: number; readonly fraction: number; readonly note: string }
  | {
      readonly kind: "log";
      readonly id: string;
      readonly task: string;
      readonly attempt: number;
      readonly level: LogLevel;
      readonly text: string;
      readonly fields: { readonly [key: string]: JsonValue };
    };

/** What a thread is given when it starts. */
export type ThreadData = {
  readonly tasks: readonly { readonly name: string; readonly file: string; readonly settings: unknown }[];
  /** The flags of all chunks: see `flagsOf`. */
  readonly flags: SharedArrayBuffer;
  /** Name of the BroadcastChannel that says "look at your flags" to threads that wait for something else. */
  readonly bell: string;
  /** Bound on an encoded output; a larger one fails the job. */
  readonly maxOutputBytes: number;
};

/** Most jobs in one chunk. */
export const maxChunk = 128;

/** Value of the progress flag before the first job of a chunk and after the last. */
export const noJob = -1;

const flagsPerChunk = 1 + maxChunk;

export function createFlags(slots: number): SharedArrayBuffer {
  return new SharedArrayBuffer(slots * flagsPerChunk * Int32Array.BYTES_PER_ELEMENT);
}

/** A chunk's flags: [0] is the index of the job being run or `noJob`, [1 + i] is 1 once job i should stop. */
export function flagsOf(flags: SharedArrayBuffer, slot: number): Int32Array {
  return new Int32Array(flags, slot * flagsPerChunk * Int32Array.BYTES_PER_ELEMENT, flagsPerChunk);
}
