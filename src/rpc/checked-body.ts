/** Request bodies in the wire format, held back until each message is seen to be within its bounds. */
import { promisify } from "node:util";
import { gunzip } from "node:zlib";
import { hasCompressedFlag, headBytes, lengthOf } from "./envelopes.ts";

export type BodyCheck = {
  /** Whether messages come in envelopes, as in gRPC and in streams of Connect, and not alone. */
  readonly isEnveloped: boolean;
  /** Larger messages are passed on as they come: Connect refuses them by their size, before it reads them. */
  readonly maxBytes: number;
  /** Whether those that say that they are compressed, or a message alone, are in gzip. Others are for Connect to refuse. */
  readonly isGzip: boolean;
  /** Called with each message, inflated. What it throws ends the body. */
  readonly check: (message: Uint8Array) => void;
  /** The error for a message that says that it is in gzip and cannot be inflated. */
  readonly notGzip: (why: string) => Error;
};

export function checkedBody(body: AsyncIterable<Uint8Array>, check: BodyCheck): AsyncIterable<Uint8Array> {
  return check.isEnveloped ? checkEnvelopes(body, check) : checkWhole(body, check);
}

async function* checkWhole(body: AsyncIterable<Uint8Array>, bounds: BodyCheck): AsyncGenerator<Uint8Array> {
  const { maxBytes, isGzip } = bounds;
  const held: Uint8Array[] = [];
  let size = 0;
  for await (const bytes of body) {
    size += bytes.length;
    held.push(bytes);
    if (size > maxBytes) yield* held.splice(0);
  }
  if (size > maxBytes) return;
  const message = joined(held);
  await checkMessage(message, isGzip, bounds);
  yield message;
}

async function* checkEnvelopes(body: AsyncIterable<Uint8Array>, bounds: BodyCheck): AsyncGenerator<Uint8Array> {
  const { maxBytes } = bounds;
  let held: Uint8Array[] = [];
  let size = 0;
  let wanted = headBytes;
  for await (const bytes of body) {
    held.push(bytes);
    size += bytes.length;
    while (size >= wanted) {
      const all = joined(held);
      const length = lengthOf(all);
      wanted = headBytes + length;
      if (size < wanted && length <= maxBytes) {
        held = [all];
        break;
      }
      const message = all.subarray(0, wanted);
      const isCompressed = hasCompressedFlag(message[0] ?? 0);
      if (length <= maxBytes) await checkMessage(message.subarray(headBytes), isCompressed, bounds);
      yield message;
      size -= message.length;
      held = size > 0 ? [all.subarray(wanted)] : [];
      wanted = headBytes;
    }
  }
  if (size > 0) yield joined(held);
}

const inflate = promisify(gunzip);

/** One that inflates to more than `maxBytes` goes on as it is: Connect refuses it when it tries. */
async function checkMessage(
  message: Uint8Array,
  isCompressed: boolean,
  { isGzip, maxBytes, check, notGzip }: BodyCheck,
): Promise<void> {
  if (!isCompressed) return check(message);
  if (!isGzip) return;
  const inflated = await inflate(message, { maxOutputLength: maxBytes }).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ERR_BUFFER_TOO_LARGE") return null;
    throw notGzip(error.message);
  });
  if (inflated) check(inflated);
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  return parts.length === 1 ? (parts[0] as Uint8Array) : Buffer.concat(parts);
}
