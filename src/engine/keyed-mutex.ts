/** One mutex per key: of the callers that name the same key one goes on at a time, in the order of their calls. */
export type KeyedMutex = {
  /**
   * Resolves with `unlock` once the caller holds the key, or when the signal aborts: ask the signal which it was. `unlock`
   * must be called either way, and calling it again changes nothing.
   */
  lock(key: string, signal: AbortSignal): Promise<() => void>;
};

export function createKeyedMutex(): KeyedMutex {
  /** Who waits for each key behind the caller that holds it. A key that nobody holds has no entry. */
  const queues = new Map<string, Set<() => void>>();

  function passOn(key: string): void {
    const queue = queues.get(key);
    const [next] = queue ?? [];
    if (next) next();
    else queues.delete(key);
  }

  return {
    lock(key, signal) {
      const queue = queues.get(key);
      let holdsKey = !queue;
      const unlock = () => {
        if (holdsKey) passOn(key);
        holdsKey = false;
      };
      if (!queue) {
        queues.set(key, new Set());
        return Promise.resolve(unlock);
      }
      return new Promise((resolve) => {
        const leaveQueue = (hasTurn: boolean) => {
          holdsKey = hasTurn;
          queue.delete(onTurn);
          signal.removeEventListener("abort", onAbort);
          resolve(unlock);
        };
        const onTurn = () => leaveQueue(true);
        const onAbort = () => leaveQueue(false);
        queue.add(onTurn);
        if (signal.aborted) onAbort();
        else signal.addEventListener("abort", onAbort, { once: true });
      });
    },
  };
}
