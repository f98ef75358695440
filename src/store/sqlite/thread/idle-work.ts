/** Gives free pages back to the disk in moments in which the store is not called. */
import type { Clock } from "../../../clock.ts";
import { createLoop, type Loop } from "../../../lifecycle.ts";
import type { Checkpoint } from "./checkpoint.ts";
import type { FreePages } from "./free-pages.ts";

/** A store that had no call for this long is idle. */
const idleMs = 20;
/** How often free pages are counted. */
const pollMs = 1_000;
/** The pause after a step, by its duration: so steps take one hundredth of the time, and no percentile up to p99 has them. */
const pauseFactor = 100;

export type IdleWork = Loop & {
  /** Calls have come: what is to be done waits. */
  called(): void;
};

export type IdleWorkParts = {
  readonly freePages: Pick<FreePages, "isWorthwhile" | "giveBack">;
  readonly checkpoint: Checkpoint;
  readonly clock: Clock;
  /** The store has failed. */
  readonly onError: (error: unknown) => void;
};

export function createIdleWork({ freePages, checkpoint, clock, onError }: IdleWorkParts): IdleWork {
  let hasCalls = false;
  /** The file is longer than its pages need, until a checkpoint has cut it. */
  let isTooLong = false;

  function step(): number {
    const startedAt = clock.monotonicMs();
    if (!freePages.isWorthwhile()) {
      isTooLong &&= !checkpoint.now();
      return pollMs;
    }
    freePages.giveBack();
    checkpoint.whenLong();
    isTooLong = true;
    return Math.max((clock.monotonicMs() - startedAt) * pauseFactor, idleMs);
  }

  const round = () => {
    const isBusy = hasCalls;
    hasCalls = false;
    return isBusy ? idleMs : step();
  };
  return {
    ...createLoop({ name: "idle work", clock, everyMs: pollMs, round, onError }),
    called() {
      hasCalls = true;
    },
  };
}
