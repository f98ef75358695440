/** How the body of a request is cut into messages, read without keeping any of it. */
import { hasCompressedFlag, headBytes } from "../envelopes.ts";

export type Framing = {
  /** Looks at the next bytes; returns what the messages that they complete take, one number for each. */
  read(chunk: Uint8Array): readonly number[];
  /** What the message that has begun takes once it is complete; 0: none has begun. */
  begun(): number;
  /** The message is larger than one may be: who reads it refuses it, and keeps nothing of it. */
  isTooLarge(): boolean;
};

const none: readonly number[] = [];

/** Messages with a head each. One that is compressed may take `messageBytes`, whatever its length. */
export function createEnvelopes(messageBytes: number): Framing {
  let headLength = 0;
  let isCompressed = false;
  /** Of the message that has begun; what of it is still to come. */
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
  /** As its header says; undefined: it does not say, and the message may have any size. */
  readonly length: number | undefined;
  readonly isCompressed: boolean;
};

/** The whole body is one message: the unary calls of Connect. It is complete when the request ends. */
export function createWholeBody({ messageBytes, length, isCompressed }: WholeBody): Framing {
  const takes = isCompressed ? messageBytes : (length ?? messageBytes);
  let received = 0;
  return {
    read(chunk) {
      received += chunk.length;
      return none;
    },
    begun: () => (received > 0 ? takes : 0),
    isTooLarge: () => received > messageBytes || (length ?? 0) > messageBytes,
  };
}
