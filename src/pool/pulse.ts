/**
 * Shared memory in which a thread that runs several jobs at once shows that its event loop runs, and which job's code
 * is running: a blocked event loop cannot send messages.
 *
 * Uses the machine's clock even if the pool has another one, because event loops run in real time.
 */
import { systemClock } from "../clock.ts";
import type { Lease } from "../job/job.ts";

/** An attempt whose code is running. */
export type RunningCode = Pick<Lease, "seq" | "attempt">;

export type Pulse = {
  /**
   * [0] when the event loop last ran, by `exactNow`, Infinity while there are no jobs; [1] `seq` and [2] attempt of the
   * job whose code was entered last; [3] 1 while that code has not returned, else 0; [4] how often the job changed.
   */
  readonly cells: Float64Array;
};

/** Interval at which a thread with jobs updates its time. */
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
  /** Call it when a chunk starts. */
  begin(): void;
  /** Call it when a chunk ends. */
  end(): void;
};

/** Uses one timer while there are chunks; it stops by itself once there are none. */
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

/** Records that the job's code starts to run, synchronously until `leaveCode`. */
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

// Read by the main thread.

export function turnedAt({ cells }: Pulse): number {
  return cells[turned] as number;
}

/** The job whose code has not returned; undefined: no job's code runs, or its job is unknown. */
export function runningCode({ cells }: Pulse): RunningCode | undefined {
  if (cells[isInside] === 0) return undefined;
  return { seq: cells[seqOfJob] as number, attempt: cells[attemptOfJob] as number };
}

/** Number of changes between jobs. While it stays the same, no other job's code was entered. */
export function ownerChanges({ cells }: Pulse): number {
  return cells[changes] as number;
}
