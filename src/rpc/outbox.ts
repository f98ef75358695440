/** What a stream is about to send: several writers, one reader that takes one item at a time. */
import type { Clock } from "../clock.ts";

export type Outbox<T> = AsyncIterable<T> & {
  /** Queues an item; resolves once it was taken, so that a writer who waits holds one item at a time. */
  push(item: T): Promise<void>;
  /** No more items: the reader gets those that wait, then the end, or this error. */
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

export function createOutbox<T>({ clock, signal, stallMs, stalled, onClose }: OutboxOptions): Outbox<T> {
  const waiting: { readonly item: T; readonly taken: () => void }[] = [];
  let ending: { readonly error: Error | undefined } | undefined;
  let isClosed = false;
  let failure: { readonly error: unknown } | undefined;
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
    for (const { taken } of waiting.splice(0)) taken();
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

  signal.addEventListener("abort", abort, { once: true });
  if (signal.aborted) abort();

  async function* read(): AsyncGenerator<T> {
    try {
      for (;;) {
        if (failure) throw failure.error;
        const next = waiting.shift();
        if (next) {
          watchStall();
          next.taken();
          yield next.item;
        } else if (ending) {
          if (ending.error) throw ending.error;
          return;
        } else {
          await new Promise<void>((resolve) => {
            wake = resolve;
          });
        }
      }
    } finally {
      close();
    }
  }

  return {
    [Symbol.asyncIterator]: read,
    push(item) {
      if (isClosed) return Promise.resolve();
      return new Promise((taken) => {
        waiting.push({ item, taken });
        if (waiting.length === 1) watchStall();
        wake();
      });
    },
    end(error) {
      ending ??= { error };
      wake();
    },
    fail,
  };
}
