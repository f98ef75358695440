/**
 * Bounds what tasks print. A thread sends its output to the main thread, which buffers without limit what its reader
 * has not read: a loop that prints would use up all memory.
 */
import type { Writable } from "node:stream";

/** Bound on the bytes that one stream of a thread has buffered; writes beyond it are dropped and counted. */
export const maxWaitingBytes = 1024 * 1024;

/** Bounds one stream of this thread. Once there is room again, writes a line with the number of dropped writes. */
export function boundOutput(stream: Writable, maxBytes: number = maxWaitingBytes): void {
  const write = stream.write.bind(stream) as (...args: unknown[]) => boolean;
  let dropped = 0;

  function boundedWrite(chunk: unknown, ...rest: unknown[]): boolean {
    if (stream.writableLength >= maxBytes) {
      dropped += 1;
      const written = rest.at(-1);
      if (typeof written === "function") process.nextTick(written, null);
      return false;
    }
    if (dropped > 0) {
      write(`(${dropped} writes to this output were dropped: more than ${maxBytes} bytes waited to be read)\n`);
      dropped = 0;
    }
    return write(chunk, ...rest);
  }
  stream.write = boundedWrite as typeof stream.write;
}
