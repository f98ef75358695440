/** Request bodies in the wire format, held back until each message is seen to be within its bounds. */

export type BodyCheck = {
  /** Whether messages come in envelopes, as in gRPC and in streams of Connect, and not alone. */
  readonly isEnveloped: boolean;
  /** Larger messages are passed on as they come: Connect refuses them by their size, before it reads them. */
  readonly maxBytes: number;
  /** Called with each message that is not compressed. What it throws ends the body. */
  readonly check: (message: Uint8Array) => void;
};

export function checkedBody(body: AsyncIterable<Uint8Array>, check: BodyCheck): AsyncIterable<Uint8Array> {
  return check.isEnveloped ? checkEnvelopes(body, check) : checkWhole(body, check);
}

async function* checkWhole(
  body: AsyncIterable<Uint8Array>,
  { maxBytes, check }: BodyCheck,
): AsyncGenerator<Uint8Array> {
  const held: Uint8Array[] = [];
  let size = 0;
  for await (const bytes of body) {
    size += bytes.length;
    held.push(bytes);
    if (size > maxBytes) yield* held.splice(0);
  }
  if (size > maxBytes) return;
  const message = joined(held);
  check(message);
  yield message;
}

/** One byte of flags, of which the lowest says that the message is compressed, and its length in four. */
const headBytes = 5;
const compressed = 1;

async function* checkEnvelopes(
  body: AsyncIterable<Uint8Array>,
  { maxBytes, check }: BodyCheck,
): AsyncGenerator<Uint8Array> {
  let held: Uint8Array[] = [];
  let size = 0;
  let wanted = headBytes;
  for await (const bytes of body) {
    held.push(bytes);
    size += bytes.length;
    while (size >= wanted) {
      const all = joined(held);
      const length = new DataView(all.buffer, all.byteOffset).getUint32(1);
      wanted = headBytes + length;
      if (size < wanted && length <= maxBytes) {
        held = [all];
        break;
      }
      const message = all.subarray(0, wanted);
      if (length <= maxBytes && !((message[0] ?? 0) & compressed)) check(message.subarray(headBytes));
      yield message;
      size -= message.length;
      held = size > 0 ? [all.subarray(wanted)] : [];
      wanted = headBytes;
    }
  }
  if (size > 0) yield joined(held);
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  return parts.length === 1 ? (parts[0] as Uint8Array) : Buffer.concat(parts);
}
