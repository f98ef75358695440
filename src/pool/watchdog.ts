import type { Clock } from "../clock.ts";

export type Sweep = {
  /** Something runs now. Called for every chunk, so it costs next to nothing. */
  wake(): void;
  stop(): void;
};

/** So late may a timeout, a deadline or the end of a grace be noticed. */
const sweepMs = 20;

/** Looks every 20 ms, by one timer, as long as something runs. */
export function createSweep(clock: Clock, look: () => void, isBusy: () => boolean): Sweep {
  let isAwake = false;
  let isStopped = false;
  let cancel = () => {};

  function arm(): void {
    cancel = clock.after(sweepMs, () => {
      look();
      isAwake = isBusy() && !isStopped;
      if (isAwake) arm();
    });
  }

  return {
    wake() {
      if (isAwake || isStopped) return;
      isAwake = true;
      arm();
    },
    stop() {
      isStopped = true;
      cancel();
    },
  };
}
