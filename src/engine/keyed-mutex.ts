/** One mutex per key: callers of the same key hold it one at a time, in the order of their calls. */
export type KeyedMutex = {
  /**
   * Resolves with `unlock` once the caller holds the key, or when the signal aborts; `signal.aborted` tells which.
   * `unlock` must be called in both cases; a second call does nothing.
   */
  lock(key: string, signal: AbortSignal): Promise<() => void>;
};

export function createKeyedMutex(): KeyedMutex {
  /** Waiting callers of each key that is held. A key that no caller holds has no entry. */
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
