/**
 * Bounds what the server sends before pg puts it together: a value may have a gigabyte, and pg holds a message until it is
 * whole. Walks the heads of the messages (https://www.postgresql.org/docs/current/protocol-overview.html).
 */
import type { Readable } from "node:stream";

export type Incoming = {
  /** Starts counting again from zero. */
  begin(): void;
};

/** One byte of type, and four of a length that includes itself. */
const headBytes = 5;

/** Calls back once when more than `maxBytes` were announced since the last restart. Runs before all other listeners. */
export function boundIncoming(stream: Readable, maxBytes: number, onTooMuch: () => void): Incoming {
  let announced = 0;
  /** Bytes of the present message that are still to come. */
  let toCome = 0;
  const head = Buffer.alloc(headBytes);
  let headLength = 0;
  let isOver = false;
  stream.prependListener("data", (chunk: Buffer) => {
    let at = 0;
    while (at < chunk.length && !isOver) {
      if (toCome > 0) {
        const skipped = Math.min(toCome, chunk.length - at);
        toCome -= skipped;
        at += skipped;
        continue;
      }
      const copied = chunk.copy(head, headLength, at, at + headBytes - headLength);
      headLength += copied;
      at += copied;
      if (headLength < headBytes) return;
      headLength = 0;
      toCome = Math.max(head.readUInt32BE(1) - 4, 0);
      announced += toCome;
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
