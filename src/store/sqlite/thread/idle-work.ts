/** Gives free pages back to the disk in moments in which the store is not called. */
import type { Clock } from "../../../clock.ts";
import type { Checkpoint } from "./checkpoint.ts";
import type { FreePages } from "./free-pages.ts";

/** A store that had no call for this long is idle. */
const idleMs = 20;
/** How often free pages are counted. */
const pollMs = 1_000;
/** The pause after a step, by its duration: so steps take one hundredth of the time, and no percentile up to p99 has them. */
const pauseFactor = 100;

export type IdleWork = {
  /** Calls have come: what is to be done waits. */
  called(): void;
  stop(): void;
};

export type IdleWorkParts = {
  readonly freePages: Pick<FreePages, "isWorthwhile" | "giveBack">;
  readonly checkpoint: Checkpoint;
  readonly clock: Clock;
  /** Answers the calls that wait; false: there were none. */
  readonly answerCalls: () => boolean;
  /** The store has failed. */
  readonly onError: (error: unknown) => void;
};

export function startIdleWork({ freePages, checkpoint, clock, answerCalls, onError }: IdleWorkParts): IdleWork {
  let hasCalls = false;
  /** The file is longer than its pages need, until a checkpoint has cut it. */
  let isTooLong = false;
  let cancel = () => {};
  let isStopped = false;

  function poll(): void {
    try {
      // a call may have come that the event loop has not delivered yet
      const isBusy = answerCalls() || hasCalls;
      hasCalls = false;
      if (!isStopped) schedule(isBusy ? idleMs : step());
    } catch (error) {
      isStopped = true;
      onError(error);
    }
  }

  /** Does one step, and returns when to poll again. */
  function step(): number {
    const startedAt = clock.monotonicMs();
    if (freePages.isWorthwhile()) {
      freePages.giveBack();
      checkpoint.whenLong();
      isTooLong = true;
    } else {
      isTooLong &&= !checkpoint.now();
      return pollMs;
    }
    return Math.max((clock.monotonicMs() - startedAt) * pauseFactor, idleMs);
  }

  function schedule(delayMs: number): void {
    cancel = clock.after(delayMs, poll);
  }

  schedule(pollMs);
  return {
    called() {
      hasCalls = true;
    },
    stop() {
      isStopped = true;
      cancel();
    },
  };
}
