/** Returns free pages to the disk while the store is idle. */
import type { Clock } from "../../../clock.ts";
import { createLoop, type Loop } from "../../../lifecycle.ts";
import type { Checkpoint } from "./checkpoint.ts";
import type { FreePages } from "./free-pages.ts";

/** A store without a call for this long is idle. */
const idleMs = 20;
/** How often free pages are counted. */
const pollMs = 1_000;
/**
 * The pause after a step, as a multiple of its duration: steps take one hundredth of the time, so p99 is not affected.
 */
const pauseFactor = 100;

export type IdleWork = Loop & {
  /** A call has arrived: idle work waits. */
  called(): void;
};

export type IdleWorkParts = {
  readonly freePages: Pick<FreePages, "isWorthwhile" | "giveBack">;
  readonly checkpoint: Checkpoint;
  readonly clock: Clock;
  /** Called when the store has failed. */
  readonly onError: (error: unknown) => void;
};

export function createIdleWork({ freePages, checkpoint, clock, onError }: IdleWorkParts): IdleWork {
  let hasCalls = false;
  /** Whether the file is longer than needed, until a checkpoint cuts it. */
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
