/** The only module that reads the machine's time or sets a timer, so that tests can pass in a clock of their own. */
export type Clock = {
  /** Wall-clock time in whole milliseconds since 1970, for what is stored and shown. The system clock's never goes back. */
  now(): number;
  /** The same with its fraction, for spans. */
  exactNow(): number;
  /** Milliseconds since an arbitrary start. Never jumps; use it for limits, timeouts and durations. */
  monotonicMs(): number;
  /**
   * Calls `action` once after `delayMs` (clamped to 0..2^31-1) and does not keep the process alive. Returns a function
   * that cancels it.
   */
  after(delayMs: number, action: () => void): () => void;
};

const longestTimerMs = 2 ** 31 - 1;

/** Captured here, because a task's code may replace the global in its thread. */
const sinceStartMs = performance.now.bind(performance);

/** Milliseconds of a monotonic clock that all threads of the process share. */
const sharedMs = () => Number(process.hrtime.bigint()) / 1e6;

/**
 * Wall-clock time at the origin of the monotonic clock, to the microsecond. `Date.now` is early by up to a millisecond,
 * so that spans would start before their callers' spans.
 */
let beganAt = performance.timeOrigin;

/**
 * The machine's clocks. The wall clock is read once, at the start of the process or of a thread that does not call
 * `takeOrigin`; from then on `now` advances with the monotonic clock. So leases and deadlines of a running server do
 * not move when the machine's clock is set; the next start uses the new time, but see `notBefore`.
 */
export const systemClock: Clock = {
  now: () => Math.floor(beganAt + sinceStartMs()),
  exactNow: () => beganAt + sinceStartMs(),
  monotonicMs: () => sinceStartMs(),
  after: (delayMs, action) => {
    const timer = setTimeout(action, Math.min(Math.max(delayMs, 0), longestTimerMs));
    timer.unref();
    return () => clearTimeout(timer);
  },
};

/**
 * Makes `now` of this thread return at least `at`, and returns how many milliseconds this puts it ahead of the
 * machine's wall clock; 0: it is not ahead. For a server whose store was written at a later time than the machine's
 * clock shows, because the clock was set back: due jobs would otherwise wait until that time comes again. Threads
 * started afterwards that take this thread's origin follow.
 */
export function notBefore(at: number): number {
  const aheadMs = Math.max(at - systemClock.now(), 0);
  beganAt += aheadMs;
  return aheadMs;
}

/** The origin of this thread's `now`, for `takeOrigin` in a thread that this one starts. */
export function originOf(): number {
  return beganAt - sharedAheadMs();
}

/**
 * Makes `now` of this thread agree with that of the thread whose origin is given, even if the machine's clock was set
 * in between. Call it before anything in this thread reads the time.
 */
export function takeOrigin(origin: number): void {
  beganAt = origin + sharedAheadMs();
}

const readings = 10;

/**
 * How far the shared clock is ahead of this thread's own. A pause between the two reads would cause a permanent error,
 * so the quickest of several readings counts.
 */
function sharedAheadMs(): number {
  let quickestMs = Infinity;
  let aheadMs = 0;
  for (let reading = 0; reading < readings; reading++) {
    const before = sinceStartMs();
    const shared = sharedMs();
    const tookMs = sinceStartMs() - before;
    if (tookMs >= quickestMs) continue;
    quickestMs = tookMs;
    aheadMs = shared - before - tookMs / 2;
  }
  return aheadMs;
}

/**
 * Milliseconds until a time that another process has just computed from the machine's wall clock, which may have been
 * set since `now` started. Negative: the time is past.
 */
export function msUntil(machineAt: number): number {
  return machineAt - Date.now();
}

/**
 * Like `clock.after`, but counts a standstill of this process (SIGSTOP, a suspended machine) as a quarter of `delayMs` at
 * most. For bounds on what others may take, so that none of them is blamed for a standstill of ours.
 */
export function afterRunning(clock: Clock, delayMs: number, action: () => void): () => void {
  let quartersLeft = 4;
  const startQuarter = () => clock.after(delayMs / 4, endQuarter);
  const endQuarter = () => {
    quartersLeft -= 1;
    if (quartersLeft === 0) action();
    else cancel = startQuarter();
  };
  let cancel = startQuarter();
  return () => cancel();
}

/** Resolves after `delayMs`, or when the signal aborts; `signal.aborted` tells which. */
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
