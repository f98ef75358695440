/** Removes what retention allows, a little at a time, so that it is never in the way. */
import type { Clock } from "../../clock.ts";
import { createLoop, type Service } from "../../lifecycle.ts";
import type { Store } from "../../store/store.ts";

/** How long final jobs are kept, in milliseconds, and how many of them. What is beyond either bound goes, oldest first. */
export type Retention = {
  /** Those whose result was acknowledged. */
  readonly acknowledgedMs: number;
  /** Those whose result is not acknowledged. */
  readonly unacknowledgedMs: number;
  /** DEAD jobs, acknowledged or not. */
  readonly deadMs: number;
  /** Bounds on SUCCEEDED and CANCELLED jobs: how many, and the space of what they carry. */
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
  /** Jobs were submitted: their callers wait for the store. */
  submitted(): void;
  /** So many attempts have ended: as many jobs, at most, will have to be removed one day. */
  ended(count: number): void;
};

/**
 * While jobs come or end, a step removes twice as many as have ended since the one before, so that it keeps up with any
 * load, and no fewer than `smallestStep`. What is submitted meanwhile waits for as long as a step takes: half a
 * millisecond for the smallest; the largest takes several, and comes only when so many jobs end that commits are as long
 * anyway, or when nothing comes or ends and so nobody waits.
 */
const smallestStep = 10;
const largestStep = 500;
const restMs = 1_000;
/** Between two steps while there is more, at least: one submit in twenty meets a step. */
const shortestPauseMs = 10;
const mebibyte = 2 ** 20;

export function createPruner({ store, clock, retention, onError }: PrunerParts): Pruner {
  let endedSince = 0;
  let hasComeSince = false;

  /** One step; returns how long to pause before the next. */
  async function prune(): Promise<number> {
    const now = clock.now();
    const startedAt = clock.monotonicMs();
    const isBusy = hasComeSince || endedSince > 0;
    const limit = isBusy ? Math.min(Math.max(2 * endedSince, smallestStep), largestStep) : largestStep;
    endedSince = 0;
    hasComeSince = false;
    const removed = await store.prune({
      now,
      acknowledgedBefore: now - retention.acknowledgedMs,
      unacknowledgedBefore: now - retention.unacknowledgedMs,
      deadBefore: now - retention.deadMs,
      maxFinished: { jobs: retention.finishedJobs, bytes: retention.finishedMiB * mebibyte },
      maxDead: { jobs: retention.deadJobs, bytes: retention.deadMiB * mebibyte },
      limit,
    });
    // the store serves others for at least as long as it pruned
    return removed < limit ? restMs : Math.max(clock.monotonicMs() - startedAt, shortestPauseMs);
  }

  return {
    ...createLoop({ name: "pruner", clock, everyMs: restMs, round: prune, onError }),
    submitted() {
      hasComeSince = true;
    },
    ended(count) {
      endedSince += count;
    },
  };
}
