/**
 * The only place that asks the machine for the time or for a timer, so that tests can hand in a clock of their own.
 */
export type Clock = {
  /** Wall-clock time in milliseconds since 1970. It may jump; use it for what is stored and shown. */
  now(): number;
  /** Milliseconds from a fixed but unknown start. It never jumps; use it for limits, timeouts and durations. */
  monotonicMs(): number;
  /** Calls `action` once after `delayMs` (clamped to 0..2^31-1) and does not keep the process alive. Returns its cancel. */
  after(delayMs: number, action: () => void): () => void;
};

const longestTimerMs = 2 ** 31 - 1;

export const systemClock: Clock = {
  now: () => Date.now(),
  monotonicMs: () => performance.now(),
  after: (delayMs, action) => {
    const timer = setTimeout(action, Math.min(Math.max(delayMs, 0), longestTimerMs));
    timer.unref();
    return () => clearTimeout(timer);
  },
};

/** Resolves after `delayMs`, or at once when the signal aborts; ask the signal which it was. */
export function pause(clock: Clock, delayMs: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      cancel();
      signal.removeEventListener("abort", done);
      resolve();
    };
    const cancel = clock.after(Math.ceil(delayMs), done);
    if (signal.aborted) done();
    else signal.addEventListener("abort", done, { once: true });
  });
}
