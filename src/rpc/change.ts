import { createSignal } from "../lifecycle.ts";

/** Something that happens again and again, to wait for its next time. */
export type Change = { happened(): void; next(): Promise<void> };

export function createChange(): Change {
  let signal = createSignal();
  return {
    happened() {
      signal.fire();
      signal = createSignal();
    },
    next: () => signal.promise,
  };
}
