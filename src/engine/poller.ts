/**
 * Polling: a hint of the store may be lost, whichever driver it has, so whoever waits for something that is in the store also
 * polls for it. With several servers it is the only way to learn of what another one did where the store has no hints of it.
 */
import type { Clock } from "../clock.ts";
import { createLoop } from "../lifecycle.ts";

export type Polling = {
  readonly clock: Clock;
  /** Between two polls, at most; half of it at least, in milliseconds. */
  readonly everyMs: number;
  /** In [0, 1): spreads the polls of several servers, and of those who began to wait at the same time. */
  readonly random: () => number;
};

/** Milliseconds until the next poll. */
export function nextPollMs({ everyMs, random }: Polling): number {
  return everyMs * (1 - random() / 2);
}

export type Poller<T> = { add(waiting: T): void; delete(waiting: T): void };

/** The timer runs this many times in `everyMs`. */
const slices = 10;

/**
 * Polls for all that were added, each at times of its own: those whose time has come are passed to `poll` together, and no
 * poll begins before the last one has ended, so that none pile up behind a store that does not answer. One timer serves
 * them all, and none runs while there are none.
 */
export function createPoller<T>(polling: Polling, poll: (due: readonly T[]) => Promise<void>): Poller<T> {
  const { clock, everyMs } = polling;
  const dueMs = new Map<T, number>();
  const rest = () => (dueMs.size === 0 ? Number.POSITIVE_INFINITY : undefined);
  const loop = createLoop({
    ...{ name: "poller", clock, everyMs: everyMs / slices, startsAtOnce: true },
    round() {
      const nowMs = clock.monotonicMs();
      const due: T[] = [];
      for (const [waiting, atMs] of dueMs) if (atMs <= nowMs) due.push(waiting);
      for (const waiting of due) dueMs.set(waiting, nowMs + nextPollMs(polling));
      return due.length > 0 ? poll(due).then(rest) : rest();
    },
  });
  void loop.start();

  return {
    add(waiting) {
      dueMs.set(waiting, clock.monotonicMs() + nextPollMs(polling));
      loop.wake();
    },
    delete: (waiting) => void dueMs.delete(waiting),
  };
}
