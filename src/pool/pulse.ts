/**
 * How a thread that runs several jobs at once shows, in memory that the main thread reads, that its event loop turns, and
 * which job's code it runs: a loop that a job blocks cannot report it.
 *
 * The time is the machine's, also where a pool has another clock: the loop of a thread is the machine's.
 */
import { systemClock } from "../clock.ts";
import type { Lease } from "../job/job.ts";

/** An attempt whose code runs. */
export type RunningCode = Pick<Lease, "seq" | "attempt">;

export type Pulse = {
  /**
   * [0] when the loop last turned, by `exactNow`, infinite while there are no jobs; [1] `seq` and [2] attempt of the job whose
   * code was entered last; [3] whether it has not returned, 1 or 0; [4] how often it was another job's than the time before.
   */
  readonly cells: Float64Array;
};

/** So often the loop of a thread shows that it turns, while it has jobs. */
export const pulseMs = 100;

const turned = 0;
const seqOfJob = 1;
const attemptOfJob = 2;
const isInside = 3;
const changes = 4;

export function createPulse(): Pulse {
  const cells = new Float64Array(new SharedArrayBuffer(5 * Float64Array.BYTES_PER_ELEMENT));
  cells[turned] = Number.POSITIVE_INFINITY;
  return { cells };
}

// Set by the worker thread.

export type Beating = {
  /** A chunk begins. */
  begin(): void;
  /** It is over. */
  end(): void;
};

/** One timer, set while there are chunks: it ends by itself once there are none. */
export function createBeating({ cells }: Pulse): Beating {
  let chunks = 0;
  let isTimerSet = false;

  function beat(): void {
    cells[turned] = chunks > 0 ? systemClock.exactNow() : Number.POSITIVE_INFINITY;
  }

  function onTimer(): void {
    beat();
    isTimerSet = chunks > 0;
    if (isTimerSet) systemClock.after(pulseMs, onTimer);
  }

  return {
    begin() {
      chunks += 1;
      beat();
      if (!isTimerSet) systemClock.after(pulseMs, onTimer);
      isTimerSet = true;
    },
    end() {
      chunks -= 1;
    },
  };
}

/** The job's code begins to run, in one go until `leaveCode`. */
export function enterCode({ cells }: Pulse, { seq, attempt }: RunningCode): void {
  cells[isInside] = 1;
  if (cells[seqOfJob] === seq && cells[attemptOfJob] === attempt) return;
  cells[seqOfJob] = seq;
  cells[attemptOfJob] = attempt;
  cells[changes]! += 1;
}

export function leaveCode({ cells }: Pulse): void {
  cells[isInside] = 0;
}

// Asked by the main thread.

export function turnedAt({ cells }: Pulse): number {
  return cells[turned] as number;
}

/** Whose code has not returned; undefined: what runs, if anything, is no job's, or it is not known whose it is. */
export function runningCode({ cells }: Pulse): RunningCode | undefined {
  if (cells[isInside] === 0) return undefined;
  return { seq: cells[seqOfJob] as number, attempt: cells[attemptOfJob] as number };
}

/** While this stays the same, no other job's code is entered. */
export function ownerChanges({ cells }: Pulse): number {
  return cells[changes] as number;
}
