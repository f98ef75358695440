/** Writes to a transport that would buffer any number of messages: no faster than the other side reads them. */
import type { Clock } from "../clock.ts";
import { createChange } from "./change.ts";

export type Writer = {
  /** Resolves when the next message may be written: when at most `maxUnwrittenBytes` wait in the transport. */
  write(bytes: Buffer): Promise<void>;
  /** Resolves when nothing waits in the transport any more, or the other side is gone. */
  flushed(): Promise<void>;
};

export type WriterOptions = {
  readonly clock: Clock;
  /** Aborts when the other side is gone: nothing is waited for after that. */
  readonly gone: AbortSignal;
  readonly write: (bytes: Buffer, written: () => void) => void;
  /** When nothing was written for this long although something waits, `onStalled` is called, which has to end it. */
  readonly stallMs: number;
  readonly onStalled: () => void;
};

/** Enough to keep a connection busy with small messages, and little for a client that reads nothing. Nothing else counts it. */
const maxUnwrittenBytes = 16 * 1024;

export function createWriter({ clock, gone, write, stallMs, onStalled }: WriterOptions): Writer {
  const change = createChange();
  let unwritten = 0;
  gone.addEventListener("abort", change.happened, { once: true });

  async function waitFor(bytes: number): Promise<void> {
    while (unwritten > bytes && !gone.aborted) {
      const cancel = clock.after(stallMs, onStalled);
      await change.next();
      cancel();
    }
  }

  return {
    write(bytes) {
      const { length } = bytes; // so that nothing here holds the bytes while they are under way
      unwritten += length;
      write(bytes, () => {
        unwritten -= length;
        change.happened();
      });
      return waitFor(maxUnwrittenBytes);
    },
    flushed: () => waitFor(0),
  };
}
