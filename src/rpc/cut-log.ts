/** Logs clients that were cut off: the first at once, then one line for all that follow within ten seconds. */
import type { Clock } from "../clock.ts";
import type { Log } from "../log.ts";

export type CutLog = {
  /** `text`: what was cut and why; lines with the same text are counted together. */
  add(text: string): void;
};

const everyMs = 10_000;

export function createCutLog(clock: Clock, log: Log): CutLog {
  /** Cuts since the last line with this text. */
  const unreported = new Map<string, number>();

  function reportLater(text: string): void {
    unreported.set(text, 0);
    clock.after(everyMs, () => {
      const count = unreported.get(text) ?? 0;
      unreported.delete(text);
      if (count === 0) return;
      log.warn({ count }, text);
      reportLater(text);
    });
  }

  return {
    add(text) {
      const count = unreported.get(text);
      if (count !== undefined) {
        unreported.set(text, count + 1);
        return;
      }
      log.warn({ count: 1 }, text);
      reportLater(text);
    },
  };
}
