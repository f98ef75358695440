/**
 * The only place that asks the machine for the time or for a timer, so that tests can hand in a clock of their own.
 */
export type Clock = {
  /** Wall-clock time in whole milliseconds since 1970, for what is stored and shown. The system's never goes back. */
  now(): number;
  /** The same with its fraction, for spans. */
  exactNow(): number;
  /** Milliseconds from a fixed but unknown start. It never jumps; use it for limits, timeouts and durations. */
  monotonicMs(): number;
  /** Calls `action` once after `delayMs` (clamped to 0..2^31-1) and does not keep the process alive. Returns its cancel. */
  after(delayMs: number, action: () => void): () => void;
};

const longestTimerMs = 2 ** 31 - 1;

/** Held here, for the code of a task may replace the global one of its thread. */
const sinceStartMs = performance.now.bind(performance);

/** Milliseconds by a clock that never jumps and is the same in all threads of the process. */
const sharedMs = () => Number(process.hrtime.bigint()) / 1e6;

/**
 * The wall clock's reading when the monotonic clock began, to the microsecond. `Date.now` would be early by up to a
 * millisecond, so that spans here would begin before those of their callers.
 */
let beganAt = performance.timeOrigin;

/**
 * The machine's clocks. The wall clock is read once, at the start of the process, or of a thread that does not `takeOrigin`; from then on `now` goes with
 * the monotonic clock. So when the machine's clock is set, leases and deadlines of a running server do not move;
 * the next start takes the new time, but see `notBefore`.
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
 * Makes `now` of this thread read at least `at`, and returns by how many milliseconds it is ahead of the machine's wall
 * clock for that; 0: it is not. For a server whose store was written under a later time than the machine's clock shows:
 * it was set back, and by it a job that was due would have to wait until that time comes again. Threads that
 * take this one's origin come along when they are started afterwards.
 */
export function notBefore(at: number): number {
  const aheadMs = Math.max(at - systemClock.now(), 0);
  beganAt += aheadMs;
  return aheadMs;
}

/** What `now` of this thread counts from: a number for `takeOrigin` in a thread that this one starts. */
export function originOf(): number {
  return beganAt - sharedAheadMs();
}

/**
 * Makes `now` of this thread agree with the thread whose origin it is, also when the machine's clock was set in between.
 * Comes before anything in this thread asks for the time.
 */
export function takeOrigin(origin: number): void {
  beganAt = origin + sharedAheadMs();
}

const looks = 10;

/**
 * How far the shared clock is ahead of this thread's own. A thread that is paused between reading the two would be
 * wrong for good, so the quickest of several reads counts.
 */
function sharedAheadMs(): number {
  let quickestMs = Infinity;
  let aheadMs = 0;
  for (let look = 0; look < looks; look++) {
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
 * Milliseconds until a time that another process has just computed from the machine's wall clock, which may have been set
 * since `now` began to count. Negative: it is past.
 */
export function msUntil(machineAt: number): number {
  return machineAt - Date.now();
}

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
