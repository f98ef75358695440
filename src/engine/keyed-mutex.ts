/** Lines by name: whoever enters one waits until those before have left it. */
export type WaitingLines = {
  /** Resolves with what to call to leave, once it is this caller's turn or the signal aborts; ask the signal which it was. */
  enter(name: string, signal: AbortSignal): Promise<() => void>;
};

export function createWaitingLines(): WaitingLines {
  /** Those who wait in each line behind the one whose turn it is; a line without that one does not exist. */
  const lines = new Map<string, Set<() => void>>();

  function leave(name: string): void {
    const waiting = lines.get(name);
    const [next] = waiting ?? [];
    if (next) next();
    else lines.delete(name);
  }

  return {
    enter(name, signal) {
      const waiting = lines.get(name);
      let isIn = !waiting;
      if (!waiting) lines.set(name, new Set());
      const out = () => {
        if (isIn) leave(name);
        isIn = false;
      };
      if (!waiting) return Promise.resolve(out);
      return new Promise((resolve) => {
        const done = (hasTurn: boolean) => {
          isIn = hasTurn;
          waiting.delete(turn);
          signal.removeEventListener("abort", gone);
          resolve(out);
        };
        const turn = () => done(true);
        const gone = () => done(false);
        waiting.add(turn);
        if (signal.aborted) gone();
        else signal.addEventListener("abort", gone, { once: true });
      });
    },
  };
}
