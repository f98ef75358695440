import { createSignal, type Signal } from "../lifecycle.ts";

/** Something that happens again and again, to wait for its next time. Costs nothing while there is no waiter. */
export type Change = { happened(): void; next(): Promise<void> };

export function createChange(): Change {
  let signal: Signal | undefined;
  return {
    happened() {
      signal?.fire();
      signal = undefined;
    },
    next: () => (signal ??= createSignal()).promise,
  };
}
