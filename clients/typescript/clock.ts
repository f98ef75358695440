import { setTimeout as delay } from "node:timers/promises";

/** Where the client gets time from; tests hand in one of their own. */
export type Clock = {
  /** Wall-clock time in milliseconds since 1970. */
  now(): number;
  /** Waits between two tries. Rejects at once when `signal` aborts. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
  /** Calls `action` once after `ms`, for time limits; does not keep the process alive. Returns its cancel. */
  after(ms: number, action: () => void): () => void;
};

/** Node's timers end at once when they are longer. */
const longestTimerMs = 2 ** 31 - 1;

/** The machine's clock. Waits for at most 24.8 days. */
export const systemClock: Clock = {
  now: () => Date.now(),
  sleep: async (ms, signal) => {
    await delay(Math.min(ms, longestTimerMs), undefined, signal === undefined ? {} : { signal });
  },
  after: (ms, action) => {
    const timer = setTimeout(action, Math.min(ms, longestTimerMs));
    timer.unref();
    return () => clearTimeout(timer);
  },
};
