import { createSignal, type Signal } from "../lifecycle.ts";

/** A recurring event: `next` resolves at its next occurrence. Costs nothing while nobody waits. */
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
