/**
 * The spans of the running attempt of a slot, in shared memory. Normally spans are sent with the attempt's outcome;
 * this log is for attempts whose thread is terminated, even if they never yield, and shows where they were. It holds
 * only the first spans of each attempt, without attributes.
 */
import type { SpanRecord } from "../job/trace.ts";
import type { RecordedSpans } from "./chunk.ts";
import { noJob } from "./flags.ts";
import { grownTo, growing } from "./shared-memory.ts";

/** Bound on the logged spans of one attempt. */
export const maxLogged = 32;

export type SpanLog = {
  /** [0] index of the job whose spans these are, [1] number of spans that it started, including those not logged. */
  readonly head: Int32Array;
  /** For span i: [2i] its start, [2i + 1] its end, 0 while it is open. */
  readonly times: Float64Array;
  /** For span i: [2i] its parent span, [2i + 1] the length of its name in bytes. */
  readonly words: Int32Array;
  readonly names: Uint8Array;
};

const nameBytes = 104;
const headBytes = 8;
const timeBytes = maxLogged * 2 * Float64Array.BYTES_PER_ELEMENT;
const wordBytes = maxLogged * 2 * Int32Array.BYTES_PER_ELEMENT;
const logBytes = headBytes + timeBytes + wordBytes + maxLogged * nameBytes;

/** Creates the shared memory for the logs of slots, 4.1 KB each, which grows when `spanLogOf` is called for more. */
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

/** Resets the log for a new chunk. Only while no thread uses the slot. */
export function clearLog({ head }: SpanLog): void {
  head[0] = noJob;
}

const encoder = new TextEncoder();
const decoder = new TextDecoder();

// Written by the worker thread.

/** Records that the job starts span `index`; `span` is undefined if it is beyond the bound. */
export function logBegun({ head, times, words, names }: SpanLog, job: number, index: number, span?: SpanRecord): void {
  if (span && index < maxLogged) {
    times[2 * index] = span.startedAt;
    times[2 * index + 1] = 0;
    words[2 * index] = span.parent;
    const name = names.subarray(index * nameBytes, (index + 1) * nameBytes);
    words[2 * index + 1] = encoder.encodeInto(span.name, name).written;
  }
  head[0] = job;
  Atomics.store(head, 1, index + 1); // last, so that readers only see complete spans
}

export function logEnded({ times }: SpanLog, index: number, endedAt: number): void {
  if (index < maxLogged) times[2 * index + 1] = endedAt;
}

// Read by the main thread once the thread is being terminated.

/** The spans of a job, open ones with an end of 0, and the number of spans that are not in the log. */
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
