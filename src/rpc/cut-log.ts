/** Lines about clients that were cut off: one at once, and then one for all that follow within a while. */
import type { Clock } from "../clock.ts";
import type { Log } from "../log.ts";

export type CutLog = {
  /** `text`: what was cut and why; lines with the same text are counted together. */
  add(text: string): void;
};

const everyMs = 10_000;

export function createCutLog(clock: Clock, log: Log): CutLog {
  /** Cuts since the last line of this text. */
  const unsaid = new Map<string, number>();

  function sayLater(text: string): void {
    unsaid.set(text, 0);
    clock.after(everyMs, () => {
      const count = unsaid.get(text) ?? 0;
      unsaid.delete(text);
      if (count === 0) return;
      log.warn({ count }, text);
      sayLater(text);
    });
  }

  return {
    add(text) {
      const count = unsaid.get(text);
      if (count !== undefined) {
        unsaid.set(text, count + 1);
        return;
      }
      log.warn({ count: 1 }, text);
      sayLater(text);
    },
  };
}
