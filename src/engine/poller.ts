/**
 * Polls the store. Hints of any driver may be lost, so everything that waits for a change in the store also polls for
 * it. With several servers, polling is the only way to notice changes by another server if the store sends no hints of
 * them.
 */
import type { Clock } from "../clock.ts";
import { createLoop } from "../lifecycle.ts";

export type Polling = {
  readonly clock: Clock;
  /** Longest time between two polls in milliseconds; the shortest is half of it. */
  readonly everyMs: number;
  /** In [0, 1): spreads the polls of several servers, and of waiters that were added at the same time. */
  readonly random: () => number;
};

/** Milliseconds until the next poll. */
export function nextPollMs({ everyMs, random }: Polling): number {
  return everyMs * (1 - random() / 2);
}

export type Poller<T> = { add(waiting: T): void; delete(waiting: T): void };

/** The timer fires this many times per `everyMs`. */
const slices = 10;

/**
 * Polls for everything that was added, each at its own times: what is due is passed to `poll` together. The next poll
 * only starts once the last one has ended, so that polls do not pile up behind a store that does not answer. One timer
 * serves all of them, and none is set while there are none.
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
