/** Enveloped messages: each has a head of one byte of flags and four of length. gRPC, gRPC-Web and streams of Connect send them. */

export const headBytes = 5;

const compressedFlag = 1;
const envelopedType = /^application\/(?:grpc|connect)/i;

/** Whether messages of this content type are enveloped. Otherwise the message is the whole body. */
export function isEnveloped(contentType: string): boolean {
  return envelopedType.test(contentType);
}

/** Whether the message is compressed, by the first byte of its head. */
export function hasCompressedFlag(flags: number): boolean {
  return (flags & compressedFlag) !== 0;
}

/** The length of the message without its head, of which all bytes are there. */
export function lengthOf([, a = 0, b = 0, c = 0, d = 0]: Uint8Array): number {
  return ((a * 256 + b) * 256 + c) * 256 + d;
}

/** A message with its head, not compressed. */
export function envelope(flags: number, message: Uint8Array = new Uint8Array()): Buffer {
  const head = Buffer.alloc(headBytes);
  head.writeUInt8(flags & ~compressedFlag, 0);
  head.writeUInt32BE(message.length, 1);
  return Buffer.concat([head, message]);
}

/** Whether these bytes are one message with its head, not compressed, and no more. */
export function isOneEnvelope(bytes: Uint8Array): boolean {
  return bytes[0] === 0 && lengthOf(bytes) + headBytes === bytes.length;
}
