/** What a stream is about to send: several writers, and one reader that takes an item at a time. */
import type { Clock } from "../clock.ts";

export type Outbox<T> = AsyncIterableIterator<T> & {
  /** Queues an item. Resolves once the reader has passed it on and asks for the next, so that a writer holds one at a time. */
  push(item: T): Promise<void>;
  /** No more items: the reader gets those queued, then the end, or this error. */
  end(error?: Error): void;
  /** The reader gets this error at once, and what waits is dropped. */
  fail(error: unknown): void;
};

export type OutboxOptions = {
  readonly clock: Clock;
  /** The reader's call: when it aborts the outbox fails with its reason, also while the reader waits for an item. */
  readonly signal: AbortSignal;
  /** When nothing was taken for this long although something waits, the outbox fails with `stalled()`. */
  readonly stallMs: number;
  readonly stalled: () => unknown;
  /** Called once, when the reader is gone or the outbox has failed. */
  readonly onClose: () => void;
};

/** Not a generator, for that would hold the item it has handed out until it is asked for the next. */
export function createOutbox<T>({ clock, signal, stallMs, stalled, onClose }: OutboxOptions): Outbox<T> {
  const waiting: { readonly item: T; readonly passedOn: () => void }[] = [];
  let ending: { readonly error: Error | undefined } | undefined;
  let isClosed = false;
  let failure: { readonly error: unknown } | undefined;
  /** The reader is done with the item that it has. */
  let passedOn = () => {};
  let wake = () => {};
  let stopStallTimer = () => {};

  function watchStall(): void {
    stopStallTimer();
    stopStallTimer = waiting.length > 0 ? clock.after(stallMs, () => fail(stalled())) : () => {};
  }

  function close(): void {
    if (isClosed) return;
    isClosed = true;
    stopStallTimer();
    signal.removeEventListener("abort", abort);
    passedOn();
    for (const each of waiting.splice(0)) each.passedOn();
    onClose();
  }

  function fail(error: unknown): void {
    failure ??= { error };
    close();
    wake();
  }

  function abort(): void {
    fail(signal.reason);
  }

  function end(error?: Error): void {
    ending ??= { error };
    wake();
  }

  signal.addEventListener("abort", abort, { once: true });
  if (signal.aborted) abort();

  const outbox: Outbox<T> = {
    [Symbol.asyncIterator]: () => outbox,

    async next() {
      passedOn();
      for (;;) {
        if (failure) throw failure.error;
        const next = waiting.shift();
        if (next) {
          watchStall();
          ({ passedOn } = next);
          return { done: false, value: next.item };
        }
        if (ending) {
          close();
          if (ending.error) throw ending.error;
          return { done: true, value: undefined };
        }
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
    },

    async return() {
      end();
      close();
      return { done: true, value: undefined };
    },

    push(item) {
      if (isClosed) return Promise.resolve();
      return new Promise((resolve) => {
        waiting.push({ item, passedOn: resolve });
        if (waiting.length === 1) watchStall();
        wake();
      });
    },
    end,
    fail,
  };
  return outbox;
}

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
