/**
 * Enveloped messages: each has a prefix of one byte of flags and four of length. Used by gRPC, gRPC-Web and Connect
 * streams.
 */

export const headBytes = 5;

const compressedFlag = 1;
const envelopedType = /^application\/(?:grpc|connect)/i;

/** Whether messages of this content type are enveloped. Otherwise the message is the whole body. */
export function isEnveloped(contentType: string): boolean {
  return envelopedType.test(contentType);
}

/** Whether the message is compressed, from the first byte of its prefix. */
export function hasCompressedFlag(flags: number): boolean {
  return (flags & compressedFlag) !== 0;
}

/** The length of the message without its prefix, from a complete prefix. */
export function lengthOf([, a = 0, b = 0, c = 0, d = 0]: Uint8Array): number {
  return ((a * 256 + b) * 256 + c) * 256 + d;
}

/** An uncompressed message with its prefix. */
export function envelope(flags: number, message: Uint8Array = new Uint8Array()): Buffer {
  const head = Buffer.alloc(headBytes);
  head.writeUInt8(flags & ~compressedFlag, 0);
  head.writeUInt32BE(message.length, 1);
  return Buffer.concat([head, message]);
}

/** Whether these bytes are exactly one uncompressed message with its prefix. */
export function isOneEnvelope(bytes: Uint8Array): boolean {
  return bytes[0] === 0 && lengthOf(bytes) + headBytes === bytes.length;
}
