/** Permits of one thread, without the server's side of them. */
import type { Permits } from "../../src/pool/resource.ts";

export type TestPermits = Permits & {
  /** Permits that are not released. */
  held(): number;
  /** Calls back who listens for others that wait. */
  want(): void;
};

/** Permits are granted in the order of the calls. Without a limit each call gets one. */
export function createTestPermits(limit = Number.POSITIVE_INFINITY): TestPermits {
  let held = 0;
  const waiting: (() => void)[] = [];
  const listeners = new Set<() => void>();
  const want = () => listeners.forEach((listener) => listener());

  /** Calls back again and again meanwhile, as the server does. */
  async function waitForRelease(signal: AbortSignal): Promise<void> {
    const timer = setInterval(want, 10);
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const giveUp = () => {
      waiting.splice(waiting.indexOf(resolve), 1);
      reject(signal.reason);
    };
    waiting.push(resolve);
    signal.addEventListener("abort", giveUp, { once: true });
    try {
      await promise;
    } finally {
      clearInterval(timer);
      signal.removeEventListener("abort", giveUp);
    }
  }

  return {
    limit,
    held: () => held,
    want,
    async acquire(signal) {
      signal.throwIfAborted();
      if (held >= limit) await waitForRelease(signal);
      else held += 1;
      let isHeld = true;
      return {
        release() {
          if (!isHeld) return;
          isHeld = false;
          const next = waiting.shift();
          if (next) next();
          else held -= 1;
        },
      };
    },
    onWanted(listener) {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
  };
}
