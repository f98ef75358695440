/** Finds the message boundaries in a request body without keeping any of its bytes. */
import { hasCompressedFlag, headBytes } from "../envelopes.ts";

export type Framing = {
  /** Reads the next bytes; returns the memory that each message takes that they complete, in order. */
  read(chunk: Uint8Array): readonly number[];
  /** Memory that the unfinished message will take once it is complete; 0: there is none. */
  begun(): number;
  /** The message is over the limit: its reader refuses it without buffering it. */
  isTooLarge(): boolean;
};

/** A message up to this size needs no reservation, so that no small call ever waits. */
export const smallBytes = 16 * 1024;

const none: readonly number[] = [];

/** Enveloped messages. A compressed one may inflate to `messageBytes`, whatever its length. */
export function createEnvelopes(messageBytes: number): Framing {
  let headLength = 0;
  let isCompressed = false;
  /** Length of the unfinished message, and how much of it is missing. */
  let length = 0;
  let left = 0;

  const takes = () => headBytes + (isCompressed ? messageBytes : length);

  function readHead(byte: number): void {
    if (headLength === 0) {
      isCompressed = hasCompressedFlag(byte);
      length = 0;
    } else length = length * 256 + byte;
    headLength += 1;
    left = length;
  }

  return {
    read(chunk) {
      let completed: number[] | undefined;
      for (let at = 0; at < chunk.length; ) {
        if (headLength < headBytes) {
          readHead(chunk[at] as number);
          at += 1;
          if (headLength < headBytes) continue;
          if (length > messageBytes) break;
        }
        const step = Math.min(left, chunk.length - at);
        left -= step;
        at += step;
        if (left > 0) break;
        completed ??= [];
        completed.push(takes());
        headLength = 0;
      }
      return completed ?? none;
    },
    begun: () => (headLength === headBytes ? takes() : headLength),
    isTooLarge: () => headLength === headBytes && length > messageBytes,
  };
}

export type WholeBody = {
  readonly messageBytes: number;
  /**
   * The content length; undefined: not announced. Such a message counts as small until more than that has arrived, and
   * then as one of the maximum size.
   */
  readonly length: number | undefined;
  readonly isCompressed: boolean;
};

/** The whole body is one message: the unary calls of Connect. It is complete when the request ends. */
export function createWholeBody({ messageBytes, length, isCompressed }: WholeBody): Framing {
  const takes = isCompressed ? messageBytes : (length ?? messageBytes);
  const isOpenEnded = length === undefined && !isCompressed;
  let received = 0;
  return {
    read(chunk) {
      received += chunk.length;
      return none;
    },
    begun: () => (received === 0 || (isOpenEnded && received <= smallBytes) ? received : takes),
    isTooLarge: () => received > messageBytes || (length ?? 0) > messageBytes,
  };
}
