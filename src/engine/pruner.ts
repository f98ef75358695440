/** Removes what retention allows, a little at a time, so that it is never in the way. */
import type { Clock } from "../clock.ts";
import type { Service } from "../lifecycle.ts";
import type { Store } from "../store/store.ts";

/** How long final jobs are kept, in milliseconds. */
export type Retention = {
  /** Those whose result was acknowledged. */
  readonly acknowledgedMs: number;
  /** Those whose result nobody acknowledged. */
  readonly unacknowledgedMs: number;
  /** DEAD jobs, acknowledged or not. */
  readonly deadMs: number;
};

export type PrunerParts = {
  readonly store: Pick<Store, "prune">;
  readonly clock: Clock;
  readonly retention: Retention;
  readonly onError: (error: unknown) => void;
};

/** One step removes at most this many jobs: a few milliseconds of the store's time. */
const stepLimit = 500;
const restMs = 1_000;
/** Between two steps while there is more: the store serves others for at least as long as it pruned. */
const pauseMs = 10;

export function createPruner({ store, clock, retention, onError }: PrunerParts): Service {
  let isRunning = false;
  let cancel = () => {};
  let step: Promise<void> = Promise.resolve();

  async function prune(): Promise<void> {
    const now = clock.now();
    try {
      const removed = await store.prune({
        acknowledgedBefore: now - retention.acknowledgedMs,
        unacknowledgedBefore: now - retention.unacknowledgedMs,
        deadBefore: now - retention.deadMs,
        limit: stepLimit,
      });
      schedule(removed === stepLimit ? pauseMs : restMs);
    } catch (error) {
      isRunning = false;
      onError(error);
    }
  }

  function schedule(delayMs: number): void {
    if (!isRunning) return;
    cancel = clock.after(delayMs, () => {
      step = prune();
    });
  }

  return {
    name: "pruner",
    async start() {
      isRunning = true;
      schedule(restMs);
    },
    async stop() {
      isRunning = false;
      cancel();
      await step;
    },
  };
}
