/**
 * The spans of the attempt that runs in a slot, in memory that the main thread shares. They come back with the attempt's
 * outcome; what is here is for the attempt whose thread is ended, also one that never yields: it shows where it was.
 * Attributes are not in it, and of each attempt only the first spans.
 */
import type { SpanRecord } from "../job/trace.ts";
import type { RecordedSpans } from "./chunk.ts";
import { noJob } from "./flags.ts";
import { grownTo, growing } from "./shared-memory.ts";

/** Spans of one attempt that are logged. */
export const maxLogged = 32;

export type SpanLog = {
  /** [0] the job of the chunk whose spans these are, [1] how many it began, those that are not logged too. */
  readonly head: Int32Array;
  /** Of span i: [2i] when it began, [2i + 1] when it ended, 0 while it is open. */
  readonly times: Float64Array;
  /** Of span i: [2i] the span that it stands under, [2i + 1] the bytes of its name. */
  readonly words: Int32Array;
  readonly names: Uint8Array;
};

const nameBytes = 104;
const headBytes = 8;
const timeBytes = maxLogged * 2 * Float64Array.BYTES_PER_ELEMENT;
const wordBytes = maxLogged * 2 * Int32Array.BYTES_PER_ELEMENT;
const logBytes = headBytes + timeBytes + wordBytes + maxLogged * nameBytes;

/** Shared memory for the logs of slots, 4.1 KB each, which grows as `spanLogOf` is asked for more. */
export function createSpanLogs(): SharedArrayBuffer {
  return growing(logBytes);
}

export function spanLogOf(shared: SharedArrayBuffer, slot: number): SpanLog {
  grownTo(shared, (slot + 1) * logBytes);
  const start = slot * logBytes;
  const words = start + headBytes + timeBytes;
  return {
    head: new Int32Array(shared, start, 2),
    times: new Float64Array(shared, start + headBytes, maxLogged * 2),
    words: new Int32Array(shared, words, maxLogged * 2),
    names: new Uint8Array(shared, words + wordBytes, maxLogged * nameBytes),
  };
}

/** Makes the log that of a new chunk. Only while no thread has the slot. */
export function clearLog({ head }: SpanLog): void {
  head[0] = noJob;
}

const encoder = new TextEncoder();
const decoder = new TextDecoder();

// What the worker thread says.

/** The job begins its span number `index`, which is `undefined` when no more are recorded. */
export function logBegun({ head, times, words, names }: SpanLog, job: number, index: number, span?: SpanRecord): void {
  if (span && index < maxLogged) {
    times[2 * index] = span.startedAt;
    times[2 * index + 1] = 0;
    words[2 * index] = span.parent;
    const name = names.subarray(index * nameBytes, (index + 1) * nameBytes);
    words[2 * index + 1] = encoder.encodeInto(span.name, name).written;
  }
  head[0] = job;
  Atomics.store(head, 1, index + 1); // last, so that whoever reads it finds what it counts
}

export function logEnded({ times }: SpanLog, index: number, endedAt: number): void {
  if (index < maxLogged) times[2 * index + 1] = endedAt;
}

// What the main thread asks once the thread was told to end.

/** The spans of a job, those that are still open with an end of 0; and how many are not in the log. */
export function loggedSpans(log: SpanLog, job: number): RecordedSpans {
  const begun = Atomics.load(log.head, 1);
  if (log.head[0] !== job) return { records: [], dropped: 0 };
  const records = Array.from({ length: Math.min(begun, maxLogged) }, (_, index) => spanAt(log, index));
  return { records, dropped: begun - records.length };
}

function spanAt({ times, words, names }: SpanLog, index: number): SpanRecord {
  const start = index * nameBytes;
  const [startedAt = 0, endedAt = 0] = times.subarray(2 * index);
  const [parent = -1, length = 0] = words.subarray(2 * index);
  return { name: decoder.decode(names.slice(start, start + length)), parent, startedAt, endedAt };
}
