/** Writes to a transport with an unbounded buffer, no faster than the other side reads. */
import { afterRunning, type Clock } from "../clock.ts";
import { createChange } from "./change.ts";

export type Writer = {
  /** Resolves when the next message may be written: at most `maxUnwrittenBytes` are buffered in the transport. */
  write(bytes: Buffer): Promise<void>;
  /** Resolves when the transport's buffer is empty, or the other side has disconnected. */
  flushed(): Promise<void>;
};

export type WriterOptions = {
  readonly clock: Clock;
  /** Aborts when the other side has disconnected: nothing is awaited after that. */
  readonly gone: AbortSignal;
  readonly write: (bytes: Buffer, written: () => void) => void;
  /** When nothing was written for this long although bytes are buffered, `onStalled` is called; it has to end the call. */
  readonly stallMs: number;
  readonly onStalled: () => void;
};

/**
 * Enough to keep a connection busy with small messages, and little for a client that does not read. No other limit
 * counts these bytes.
 */
const maxUnwrittenBytes = 16 * 1024;

export function createWriter({ clock, gone, write, stallMs, onStalled }: WriterOptions): Writer {
  const change = createChange();
  let unwritten = 0;
  gone.addEventListener("abort", change.happened, { once: true });

  async function waitFor(bytes: number): Promise<void> {
    while (unwritten > bytes && !gone.aborted) {
      const cancel = afterRunning(clock, stallMs, onStalled);
      await change.next();
      cancel();
    }
  }

  return {
    write(bytes) {
      const { length } = bytes; // read now, so that the closures below do not keep the bytes in memory
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
