/** Removes what retention allows in small steps, so that it never delays other calls noticeably. */
import type { Clock } from "../../clock.ts";
import { createLoop, type Service } from "../../lifecycle.ts";
import type { Store } from "../../store/store.ts";

/**
 * How long final jobs are kept, in milliseconds, and how many of them. Jobs beyond either bound are removed, oldest
 * first.
 */
export type Retention = {
  /** SUCCEEDED and CANCELLED jobs whose result is acknowledged. */
  readonly acknowledgedMs: number;
  /** SUCCEEDED and CANCELLED jobs whose result is not acknowledged. */
  readonly unacknowledgedMs: number;
  /** DEAD jobs, acknowledged or not. */
  readonly deadMs: number;
  /** Bounds on SUCCEEDED and CANCELLED jobs: their number, and the size of their data. */
  readonly finishedJobs: number;
  readonly finishedMiB: number;
  /** The same for DEAD jobs. */
  readonly deadJobs: number;
  readonly deadMiB: number;
};

export type PrunerParts = {
  readonly store: Pick<Store, "prune">;
  readonly clock: Clock;
  readonly retention: Retention;
  readonly onError: (error: unknown) => number | undefined;
};

export type Pruner = Service & {
  /** Jobs are being submitted: their callers wait for the store. */
  submitted(): void;
  /** This many attempts have ended: at most as many jobs will have to be removed later. */
  ended(count: number): void;
};

/**
 * While jobs arrive or end, a step removes twice as many as have ended since the previous one, so that it keeps up with
 * any load, and at least `smallestStep`. Concurrent submits wait for the step: half a millisecond for the smallest. The
 * largest takes several, and is only used when so many jobs end that commits take as long anyway, or when no job
 * arrives or ends, so that no caller waits.
 */
const smallestStep = 10;
const largestStep = 500;
const restMs = 1_000;
/** Shortest pause between two steps while there is more to remove: then one submit in twenty waits for a step. */
const shortestPauseMs = 10;
const mebibyte = 2 ** 20;

export function createPruner({ store, clock, retention, onError }: PrunerParts): Pruner {
  let endedSince = 0;
  let hasSubmitsSince = false;

  /** Runs one step; returns the pause until the next. */
  async function prune(): Promise<number> {
    const now = clock.now();
    const startedAt = clock.monotonicMs();
    const isBusy = hasSubmitsSince || endedSince > 0;
    const limit = isBusy ? Math.min(Math.max(2 * endedSince, smallestStep), largestStep) : largestStep;
    endedSince = 0;
    hasSubmitsSince = false;
    const removed = await store.prune({
      now,
      acknowledgedBefore: now - retention.acknowledgedMs,
      unacknowledgedBefore: now - retention.unacknowledgedMs,
      deadBefore: now - retention.deadMs,
      maxFinished: { jobs: retention.finishedJobs, bytes: retention.finishedMiB * mebibyte },
      maxDead: { jobs: retention.deadJobs, bytes: retention.deadMiB * mebibyte },
      limit,
    });
    // the store serves other calls for at least as long as it pruned
    return removed < limit ? restMs : Math.max(clock.monotonicMs() - startedAt, shortestPauseMs);
  }

  return {
    ...createLoop({ name: "pruner", clock, everyMs: restMs, round: prune, onError }),
    submitted() {
      hasSubmitsSince = true;
    },
    ended(count) {
      endedSince += count;
    },
  };
}
