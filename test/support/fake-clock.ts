import type { Clock } from "../../src/clock.ts";

/** A clock that stands still until it is told to go on. Wall and monotonic time go together. */
export type FakeClock = Clock & {
  /** Moves the time on, and calls every timer that becomes due at its own time, in order. */
  advance(ms: number): void;
  /** Moves the time on as for a process that does not run: timers that become due wait for the next `advance`. */
  standStill(ms: number): void;
  /** Moves the wall clock alone, as an administrator would. */
  jump(ms: number): void;
  /** Timers that wait. */
  timers(): number;
};

type Timer = { readonly at: number; readonly action: () => void };

export function createFakeClock(startAt = 1_790_000_000_000): FakeClock {
  const timers = new Set<Timer>();
  let elapsedMs = 0;
  let jumpedMs = 0;

  /** The first of those due next: a Set keeps the order in which they came. */
  const nextBefore = (end: number): Timer | undefined =>
    [...timers].filter(({ at }) => at <= end).sort((a, b) => a.at - b.at)[0];

  return {
    now: () => Math.floor(startAt + elapsedMs + jumpedMs),
    exactNow: () => startAt + elapsedMs + jumpedMs,
    monotonicMs: () => elapsedMs,
    after(delayMs, action) {
      const timer = { at: elapsedMs + Math.max(delayMs, 0), action };
      timers.add(timer);
      return () => timers.delete(timer);
    },
    advance(ms) {
      const end = elapsedMs + ms;
      for (let timer = nextBefore(end); timer; timer = nextBefore(end)) {
        timers.delete(timer);
        elapsedMs = Math.max(elapsedMs, timer.at);
        timer.action();
      }
      elapsedMs = end;
    },
    standStill(ms) {
      elapsedMs += ms;
    },
    jump(ms) {
      jumpedMs += ms;
    },
    timers: () => timers.size,
  };
}

/** Lets everything run that waits for nothing but its turn. */
export function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
