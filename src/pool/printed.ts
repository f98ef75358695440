/**
 * What tasks print, held to a bound. A thread hands its output to the main thread, which writes it as fast as whoever reads
 * it does, and keeps what is waiting without a bound of its own: a loop that prints would take all memory there is.
 */
import type { Writable } from "node:stream";

/** Bytes that one stream of a thread may have waiting; lines beyond it are dropped and counted. */
export const maxWaitingBytes = 1024 * 1024;

/** Bounds one stream of this thread. Once there is room again, a line says how many writes were dropped. */
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
