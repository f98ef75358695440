/**
 * Bounds the bytes that the server sends before pg buffers them: a value may have a gigabyte, and pg buffers a message
 * until it is complete. Reads the headers of the messages
 * (https://www.postgresql.org/docs/current/protocol-overview.html).
 */
import type { Readable } from "node:stream";

export type Incoming = {
  /** Restarts the count from zero. */
  begin(): void;
};

/** A message header: one byte of type, and four of length, which include themselves. */
const headBytes = 5;

/**
 * Calls `onTooMuch` once when the headers since the last `begin` announce more than `maxBytes`. Runs before all other
 * listeners.
 */
export function boundIncoming(stream: Readable, maxBytes: number, onTooMuch: () => void): Incoming {
  let announced = 0;
  /** Missing bytes of the current message. */
  let missing = 0;
  const head = Buffer.alloc(headBytes);
  let headLength = 0;
  let isOver = false;
  stream.prependListener("data", (chunk: Buffer) => {
    let at = 0;
    while (at < chunk.length && !isOver) {
      if (missing > 0) {
        const skipped = Math.min(missing, chunk.length - at);
        missing -= skipped;
        at += skipped;
        continue;
      }
      const copied = chunk.copy(head, headLength, at, at + headBytes - headLength);
      headLength += copied;
      at += copied;
      if (headLength < headBytes) return;
      headLength = 0;
      missing = Math.max(head.readUInt32BE(1) - 4, 0);
      announced += missing;
      if (announced > maxBytes) {
        isOver = true;
        onTooMuch();
      }
    }
  });
  return {
    begin() {
      announced = 0;
    },
  };
}
