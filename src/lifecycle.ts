import type { Clock } from "./clock.ts";

/**
 * A part of the server that runs. `start` resolves when the part is ready; `stop` when it has released everything.
 * Stopping what was never started, or twice, is safe.
 */
export type Service = {
  readonly name: string;
  start(): Promise<void>;
  stop(): Promise<void>;
};

/**
 * Starts services in order. When one fails, those already started are stopped in reverse order before the error is
 * rethrown.
 */
export async function startAll(services: readonly Service[]): Promise<void> {
  const started: Service[] = [];
  for (const service of services) {
    try {
      await service.start();
      started.push(service);
    } catch (error) {
      await stopAll(started).catch(() => undefined); // only the first error names the cause
      throw error;
    }
  }
}

/** Stops services in reverse order, all of them even when some fail; the failures are thrown as one AggregateError. */
export async function stopAll(services: readonly Service[]): Promise<void> {
  const failures: unknown[] = [];
  for (const service of services.toReversed()) {
    try {
      await service.stop();
    } catch (error) {
      failures.push(new Error(`could not stop ${service.name}`, { cause: error }));
    }
  }
  if (failures.length > 0) throw new AggregateError(failures, "some parts of the server did not stop cleanly");
}

/**
 * Cleanup before the process replaces itself by another program (exec): kernel timers and signals of this one would
 * reach it.
 */
export const beforeExec = new Set<() => void>();

/** A promise with functions that settle it, for one event that others wait for. */
export type Signal<T = void> = { readonly promise: Promise<T>; fire(value: T): void; fail(error: unknown): void };

export function createSignal<T = void>(): Signal<T> {
  const { promise, resolve, reject } = Promise.withResolvers<T>();
  return { promise, fire: resolve, fail: reject };
}

/** Waits for a promise for at most `limitMs`; false: it took longer. Rejects as the promise does. */
export async function within(clock: Clock, limitMs: number, done: Promise<unknown>): Promise<boolean> {
  const late = createSignal<boolean>();
  const cancel = clock.after(limitMs, () => late.fire(false));
  try {
    return await Promise.race([done.then(() => true), late.promise]);
  } finally {
    cancel();
  }
}

/** A service that repeats one action: see `createLoop`. */
export type Loop = Service & {
  /**
   * False before `start`, from `stop` on, and after a round failed for good. A long round checks it between its steps.
   */
  isRunning(): boolean;
  /**
   * Ends the rest that a round requests with `Infinity`, or prevents the current round from requesting it: the next one
   * starts after `everyMs`.
   */
  wake(): void;
};

export type LoopParts = {
  readonly name: string;
  readonly clock: Clock;
  /** From the end of one round to the start of the next, in milliseconds. */
  readonly everyMs: number;
  /** Whether the first round begins in `start`, which does not wait for its end. Default: false, `everyMs` later. */
  readonly startsAtOnce?: boolean;
  /** One round. It may return the delay until the next one in milliseconds; `Infinity`: not before `wake`. */
  readonly round: () => RoundEnd | Promise<RoundEnd>;
  /**
   * Called when a round throws or rejects. Returns the delay until the next one in milliseconds; undefined: the loop
   * ends. Absent: the error is uncaught, and if the process survives it, the next round starts after `everyMs`.
   */
  readonly onError?: (error: unknown) => RoundEnd | undefined;
};

type RoundEnd = number | void;

/**
 * Runs rounds one at a time, with one timer and a pause between them. `stop` resolves once the current round is over,
 * and no other starts. A synchronous round ends within its timer callback, without a promise.
 */
export function createLoop({ name, clock, everyMs, startsAtOnce = false, round, onError }: LoopParts): Loop {
  let isRunning = false;
  let isResting = false;
  /** `wake` was called during the current round. */
  let isWoken = false;
  let cancelTimer = () => {};
  let underWay: Promise<void> | undefined;

  function schedule(delayMs: number): void {
    const pauseMs = isWoken && delayMs === Number.POSITIVE_INFINITY ? everyMs : delayMs;
    isResting = pauseMs === Number.POSITIVE_INFINITY;
    if (isRunning && !isResting) cancelTimer = clock.after(pauseMs, run);
  }

  function run(): void {
    isWoken = false;
    try {
      const end = round();
      if (end instanceof Promise) underWay = finish(end);
      else schedule(end ?? everyMs);
    } catch (error) {
      fail(error);
    }
  }

  async function finish(end: Promise<RoundEnd>): Promise<void> {
    try {
      schedule((await end) ?? everyMs);
    } catch (error) {
      fail(error);
    }
  }

  function fail(error: unknown): void {
    if (!onError) {
      schedule(everyMs); // if the process survives the error, the loop must go on
      throw error;
    }
    const retryMs = onError(error);
    if (retryMs === undefined) isRunning = false;
    else schedule(retryMs);
  }

  return {
    name,
    isRunning: () => isRunning,
    wake() {
      isWoken = true;
      if (isResting) schedule(everyMs);
    },
    async start() {
      if (isRunning) return;
      isRunning = true;
      if (startsAtOnce) run();
      else schedule(everyMs);
    },
    async stop() {
      isRunning = false;
      cancelTimer();
      await underWay;
    },
  };
}

/** One timer for the earliest of many times. */
export type Alarm = {
  /** Calls the action at this wall-clock time, unless it is set for an earlier one: then only at that. */
  setBy(at: number): void;
  cancel(): void;
};

export function createAlarm(clock: Clock, action: () => void): Alarm {
  let setAt = Number.POSITIVE_INFINITY;
  let cancelTimer = () => {};
  return {
    setBy(at) {
      if (at >= setAt) return;
      cancelTimer();
      setAt = at;
      cancelTimer = clock.after(at - clock.now(), () => {
        setAt = Number.POSITIVE_INFINITY;
        action();
      });
    },
    cancel() {
      cancelTimer();
      setAt = Number.POSITIVE_INFINITY;
    },
  };
}
