/**
 * How a thread that runs several jobs at once shows, in memory that the main thread reads, that its event loop turns, and
 * whose code it has entered: a loop that a job blocks cannot report it.
 *
 * The time is the machine's, also where a pool has another clock: the loop of a thread is the machine's.
 */
import { systemClock } from "../clock.ts";

export type Pulse = {
  /** [0] when the loop last turned, by `exactNow`, infinite while there are no jobs; [1] the slot whose job's code was entered and has not returned, or `noSlot`. */
  readonly cells: Float64Array;
};

/** So often the loop of a thread shows that it turns, while it has jobs. */
export const pulseMs = 100;

/** In place of a slot: none. */
const noSlot = -1;
const turned = 0;
const entered = 1;

export function createPulse(): Pulse {
  const cells = new Float64Array(new SharedArrayBuffer(2 * Float64Array.BYTES_PER_ELEMENT));
  cells[turned] = Number.POSITIVE_INFINITY;
  cells[entered] = noSlot;
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

/** The code of the slot's job begins to run, in one go until `leaveCode`. */
export function enterCode({ cells }: Pulse, slot: number): void {
  cells[entered] = slot;
}

export function leaveCode({ cells }: Pulse): void {
  cells[entered] = noSlot;
}

// Asked by the main thread.

export function turnedAt({ cells }: Pulse): number {
  return cells[turned] as number;
}

/** The slot whose job's code has not returned for certain; `noSlot`: what runs, if anything, was resumed, or is no job's. */
export function enteredSlot({ cells }: Pulse): number {
  return cells[entered] as number;
}
