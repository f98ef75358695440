import { createSignal, type Signal } from "../lifecycle.ts";

/** An event that repeats: `next` resolves when it happens next. Costs nothing while nobody waits. */
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
