/** A store on a disk that stands still whenever the test says so. */
import type { Store, StoreCalls } from "../../src/store/store.ts";

export type SlowDisk = {
  readonly store: Store;
  /** From now on nothing is done, until `goOn`: then all of it, in the order in which it was asked for. */
  standStill(): void;
  goOn(): void;
  /** How many calls of this method were made, done or not. */
  calls(method: keyof Store): number;
};

/** Keeps the port's promise: calls take effect in the order in which they were made. */
export function createSlowDisk(store: Store): SlowDisk {
  let before: Promise<unknown> = Promise.resolve();
  let goOn = () => {};
  const counts = new Map<string | symbol, number>();
  return {
    store: new Proxy(store, {
      get(target, method) {
        if (method === "subscribe" || method === "isShared") return target[method];
        return (request: never) => {
          counts.set(method, (counts.get(method) ?? 0) + 1);
          const call = target[method as keyof StoreCalls] as (request: never) => Promise<unknown>;
          const done = before.then(() => call(request));
          before = done.catch(() => undefined);
          return done;
        };
      },
    }),
    standStill() {
      const { promise, resolve } = Promise.withResolvers<void>();
      before = before.then(() => promise);
      goOn = resolve;
    },
    goOn: () => goOn(),
    calls: (method) => counts.get(method) ?? 0,
  };
}
