/** A queue of items to send on a stream: several writers, and one reader that takes one item at a time. */
import { afterRunning, type Clock } from "../clock.ts";

export type Outbox<T> = AsyncIterableIterator<T> & {
  /**
   * Queues an item. Resolves once the reader has sent it and requests the next, so that a writer keeps one at a time in
   * memory.
   */
  push(item: T): Promise<void>;
  /** Ends the queue: the reader gets the queued items, then the end or this error. */
  end(error?: Error): void;
  /** Fails the queue: the reader gets this error at once, and queued items are dropped. */
  fail(error: unknown): void;
};

export type OutboxOptions = {
  readonly clock: Clock;
  /** Signal of the reader's call: when it aborts, the outbox fails with its reason, even while the reader waits for an item. */
  readonly signal: AbortSignal;
  /** When the reader takes nothing for this long although items are queued, the outbox fails with `stalled()`. */
  readonly stallMs: number;
  readonly stalled: () => unknown;
  /** Called once, when the reader is gone or the outbox has failed. */
  readonly onClose: () => void;
};

/** Not a generator, because that would keep the last item in memory until the next is requested. */
export function createOutbox<T>({ clock, signal, stallMs, stalled, onClose }: OutboxOptions): Outbox<T> {
  const waiting: { readonly item: T; readonly passedOn: () => void }[] = [];
  let ending: { readonly error: Error | undefined } | undefined;
  let isClosed = false;
  let failure: { readonly error: unknown } | undefined;
  /** Resolves the push of the item that the reader holds. */
  let passedOn = () => {};
  let wake = () => {};
  let stopStallTimer = () => {};

  function watchStall(): void {
    stopStallTimer();
    stopStallTimer = waiting.length > 0 ? afterRunning(clock, stallMs, () => fail(stalled())) : () => {};
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
 * An iterable that is opened when its first item is requested, like a generator. Unlike a generator it does not keep
 * the last item in memory: an item may have megabytes, and is not needed any more once it is encoded, however slowly
 * its client reads.
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
