/** Time and processes of a simulation: nothing in it takes real time, and the same seed gives the same run. */
import type { Clock } from "../../../src/clock.ts";

/** One process. What is due while it is frozen happens when it goes on; what is due when it is dead never happens. */
export type Life = { isDead: boolean; isFrozen: boolean; readonly missed: Set<Timer> };

export type World = {
  /** True time since the beginning, in milliseconds; the machine's wall clock is beside it. */
  nowMs(): number;
  wallMs(): number;
  /** Moves the machine's wall clock alone. */
  jump(ms: number): void;
  /** A time for the log, later than every one before. */
  stamp(): number;
  after(delayMs: number, action: () => void, life?: Life): () => void;
  thaw(life: Life): void;
  /** Lets time pass, each timer at its own time, and everything that follows from one before the next. */
  advance(ms: number): Promise<void>;
};

type Timer = { at: number; readonly action: () => void; readonly life: Life | undefined };

const wallStartMs = 1_790_000_000_000;
const logStartMs = 1_000_000;
/** A simulation is small: one that has so many timers has lost its way. */
const maxTimers = 300_000;

export const newLife = (): Life => ({ isDead: false, isFrozen: false, missed: new Set() });

export function createWorld(): World {
  const timers = new Set<Timer>();
  let elapsedMs = 0;
  let jumpedMs = 0;
  let stamped = 0;
  let fired = 0;

  /** The first of those due next: a Set keeps the order in which they came. */
  function nextBefore(end: number): Timer | undefined {
    let next: Timer | undefined;
    for (const timer of timers) if (timer.at <= end && (!next || timer.at < next.at)) next = timer;
    return next;
  }

  function after(delayMs: number, action: () => void, life?: Life): () => void {
    const timer = { at: elapsedMs + Math.max(delayMs, 0), action, life };
    timers.add(timer);
    return () => void (timers.delete(timer) || life?.missed.delete(timer));
  }

  function fire(timer: Timer): void {
    const { action, life } = timer;
    if (life?.isDead) return;
    if (life?.isFrozen) life.missed.add(timer);
    else action();
  }

  return {
    nowMs: () => elapsedMs,
    wallMs: () => wallStartMs + elapsedMs + jumpedMs,
    jump(ms) {
      jumpedMs += ms;
    },
    stamp() {
      stamped = Math.max(stamped + 1e-6, logStartMs + elapsedMs);
      return stamped;
    },
    after,
    thaw(life) {
      life.isFrozen = false;
      for (const timer of life.missed) {
        timer.at = elapsedMs;
        timers.add(timer);
      }
      life.missed.clear();
    },
    async advance(ms) {
      const end = elapsedMs + ms;
      for (let timer = nextBefore(end); timer; timer = nextBefore(end)) {
        timers.delete(timer);
        elapsedMs = Math.max(elapsedMs, timer.at);
        fire(timer);
        await turn();
        fired += 1;
        if (fired > maxTimers) throw new Error("the simulation does not come to rest");
      }
      elapsedMs = end;
    },
  };
}

/** Lets everything run that waits for nothing but its turn. */
export function turn(): Promise<void> {
  return new Promise((resolve) => void setImmediate(resolve));
}

/**
 * The clock of a process, as src/clock.ts has it: the wall clock is read once, at its start, and goes with the monotonic
 * one from then on.
 */
export function clockOf(world: World, life: Life): Clock {
  const bornMs = world.nowMs();
  const wallMs = world.wallMs();
  const exactNow = () => wallMs + world.nowMs() - bornMs;
  return {
    now: () => Math.floor(exactNow()),
    exactNow,
    monotonicMs: () => world.nowMs() - bornMs,
    after: (delayMs, action) => world.after(delayMs, action, life),
  };
}
