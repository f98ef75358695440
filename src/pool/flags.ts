/**
 * What the main thread and a worker thread share about one chunk. Each job of it has a word: where it stands,
 * and whether and why it should stop. Both sides change words by compare-and-swap only, so that a job that was taken
 * back never begins, and one that began is never taken back.
 */
import { maxChunk, type StopReason } from "./chunk.ts";
import { grownTo, growing } from "./shared-memory.ts";

/** Where a job of a chunk stands. `withdrawn`: it will not begin in this chunk. */
export type Standing = "waiting" | "running" | "ended" | "withdrawn";

export type Flags = {
  /** [0] the job being run or `noJob`, [1] the thread that runs the chunk, 0 while none does, [2 + i] the word of job i. */
  readonly words: Int32Array;
  /** [0] when the job being run began, in milliseconds since 1970. */
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

/** Shared memory for the flags of chunks, which grows as `flagsOf` is asked for more slots. */
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

/** Makes the flags those of a new chunk of so many jobs. Only while no thread has the slot. */
export function clear({ words }: Flags, jobs: number): void {
  words.fill(0, 0, firstJob + jobs);
  words[current] = noJob;
}

// Set by the worker thread.

/** The thread takes the chunk. */
export function take({ words }: Flags, threadId: number): void {
  Atomics.store(words, thread, threadId);
}

/** The thread begins a job; false: the job was withdrawn and must not begin. */
export function begin({ words, startedAt }: Flags, index: number, at: number): boolean {
  if (Atomics.compareExchange(words, firstJob + index, waiting, running) !== waiting) return false;
  startedAt[0] = at;
  Atomics.store(words, current, index);
  return true;
}

/** The job that began has ended; returns why it was asked to stop, if it was. */
export function end({ words }: Flags, index: number): StopReason | undefined {
  return reasonOf(Atomics.exchange(words, firstJob + index, ended));
}

/** The thread is through with the chunk. */
export function leave({ words }: Flags): void {
  Atomics.store(words, current, noJob);
}

// Set by the main thread.

/** Tells the running job to stop; an earlier reason stays. False: it is not running. */
export function tellToStop({ words }: Flags, index: number, reason: StopReason): boolean {
  const told = running | ((reasons.indexOf(reason) + 1) << reasonShift);
  const before = Atomics.compareExchange(words, firstJob + index, running, told);
  return (before & standingMask) === running;
}

/** Takes a job back before it begins; false: it began, or was taken back before. Both sides may. */
export function withdraw({ words }: Flags, index: number, reason: StopReason): boolean {
  const taken = withdrawn | ((reasons.indexOf(reason) + 1) << reasonShift);
  return Atomics.compareExchange(words, firstJob + index, waiting, taken) === waiting;
}

// What both may ask.

/** Why the job should stop, or did not begin. */
export function stopReasonOf({ words }: Flags, index: number): StopReason | undefined {
  return reasonOf(Atomics.load(words, firstJob + index));
}

export function standingOf({ words }: Flags, index: number): Standing {
  return standings[Atomics.load(words, firstJob + index) & standingMask] as Standing;
}

/** Index of the job that runs, or ran last while its chunk goes on; `noJob` before the first and after the last. */
export function currentOf({ words }: Flags): number {
  return Atomics.load(words, current);
}

/** The thread that has the chunk; 0: none yet. */
export function threadOf({ words }: Flags): number {
  return Atomics.load(words, thread);
}

function reasonOf(word: number): StopReason | undefined {
  return reasons[(word >> reasonShift) - 1];
}
