/**
 * Shared memory of the main thread and a worker thread for each chunk. Each job has a word (a 32-bit integer) with its
 * state, and whether and why it should stop. Both sides change words only by compare-and-swap, so that a withdrawn job
 * never starts, and a started one is never withdrawn.
 */
import { maxChunk, type StopReason } from "./chunk.ts";
import { grownTo, growing } from "./shared-memory.ts";

/** The state of a job in its chunk. `withdrawn`: it will not start in this chunk. */
export type Standing = "waiting" | "running" | "ended" | "withdrawn";

export type Flags = {
  /**
   * [0] index of the running job or `noJob`, [1] id of the thread that runs the chunk, 0: none yet, [2 + i] the word of
   * job i.
   */
  readonly words: Int32Array;
  /** [0] when the running job started, in milliseconds since 1970. */
  readonly startedAt: Float64Array;
};

/** Index of the running job before the first job of a chunk, and after the last. */
export const noJob = -1;

const reasons: readonly StopReason[] = ["cancelled", "timed_out", "expired", "released"];
const standings: readonly Standing[] = ["waiting", "running", "ended", "withdrawn"];
const [waiting, running, ended, withdrawn] = [0, 1, 2, 3];
const standingMask = 3;
const reasonShift = 2;

const current = 0;
const thread = 1;
const firstJob = 2;
const wordsPerChunk = firstJob + maxChunk;
const wordBytes = wordsPerChunk * Int32Array.BYTES_PER_ELEMENT;
const chunkBytes = wordBytes + Float64Array.BYTES_PER_ELEMENT;

/** Creates the shared memory for the flags of chunks, which grows when `flagsOf` is called for more slots. */
export function createFlags(): SharedArrayBuffer {
  return growing(chunkBytes);
}

/** The flags of the chunk in a slot. */
export function flagsOf(shared: SharedArrayBuffer, slot: number): Flags {
  grownTo(shared, (slot + 1) * chunkBytes);
  return {
    words: new Int32Array(shared, slot * chunkBytes, wordsPerChunk),
    startedAt: new Float64Array(shared, slot * chunkBytes + wordBytes, 1),
  };
}

/** Resets the flags for a new chunk with this number of jobs. Only while no thread uses the slot. */
export function clear({ words }: Flags, jobs: number): void {
  words.fill(0, 0, firstJob + jobs);
  words[current] = noJob;
}

// Set by the worker thread.

/** Records the thread that runs the chunk. */
export function take({ words }: Flags, threadId: number): void {
  Atomics.store(words, thread, threadId);
}

/** Marks a job as running; false: it was withdrawn and must not start. */
export function begin({ words, startedAt }: Flags, index: number, at: number): boolean {
  if (Atomics.compareExchange(words, firstJob + index, waiting, running) !== waiting) return false;
  startedAt[0] = at;
  Atomics.store(words, current, index);
  return true;
}

/** Marks a running job as ended; returns the reason if it was asked to stop. */
export function end({ words }: Flags, index: number): StopReason | undefined {
  return reasonOf(Atomics.exchange(words, firstJob + index, ended));
}

/** Records that the thread has finished the chunk. */
export function leave({ words }: Flags): void {
  Atomics.store(words, current, noJob);
}

// Set by the main thread.

/** Asks the running job to stop; an earlier reason is kept. False: it is not running. */
export function setStopReason({ words }: Flags, index: number, reason: StopReason): boolean {
  const stopping = running | ((reasons.indexOf(reason) + 1) << reasonShift);
  const before = Atomics.compareExchange(words, firstJob + index, running, stopping);
  return (before & standingMask) === running;
}

/** Withdraws a job before it starts; false: it has started, or was withdrawn before. Called by both threads. */
export function withdraw({ words }: Flags, index: number, reason: StopReason): boolean {
  const taken = withdrawn | ((reasons.indexOf(reason) + 1) << reasonShift);
  return Atomics.compareExchange(words, firstJob + index, waiting, taken) === waiting;
}

// Read by both threads.

/** Why the job should stop, or was withdrawn. */
export function stopReasonOf({ words }: Flags, index: number): StopReason | undefined {
  return reasonOf(Atomics.load(words, firstJob + index));
}

export function standingOf({ words }: Flags, index: number): Standing {
  return standings[Atomics.load(words, firstJob + index) & standingMask] as Standing;
}

/** Index of the job that runs, or ran last in a chunk that continues; `noJob` before the first and after the last. */
export function currentOf({ words }: Flags): number {
  return Atomics.load(words, current);
}

/** The thread that runs the chunk; 0: none yet. */
export function threadOf({ words }: Flags): number {
  return Atomics.load(words, thread);
}

function reasonOf(word: number): StopReason | undefined {
  return reasons[(word >> reasonShift) - 1];
}
