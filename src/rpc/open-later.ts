/**
 * An iterable that is opened when its first item is asked for, as a generator would be. Unlike a generator it holds no item
 * that it has handed out: one may be megabytes, and is needed no longer once it is encoded, however long its client takes.
 */
export function openLater<T>(open: () => Promise<AsyncIterator<T>>): AsyncIterableIterator<T> {
  let opened: Promise<AsyncIterator<T>> | undefined;
  const end = { done: true, value: undefined } as const;
  const later: AsyncIterableIterator<T> = {
    [Symbol.asyncIterator]: () => later,
    async next() {
      opened ??= open();
      return (await opened).next();
    },
    async return() {
      opened ??= Promise.resolve({ next: async () => end });
      const iterator = await opened.catch(() => undefined);
      await iterator?.return?.();
      return end;
    },
  };
  return later;
}
