import { randomFillSync } from "node:crypto";

const random = new Uint8Array(16 * 256);
let next = random.length;

/**
 * A new job id: a UUIDv7 (RFC 9562 §5.7) with 48 bits of `now` (milliseconds since 1970) and 74 random bits, so that
 * later ids sort behind earlier ones, and the store's index grows at its end.
 */
export function newId(now: number): string {
  if (next === random.length) {
    randomFillSync(random); // for 256 ids at once, because a system call per id would cost more than everything else
    next = 0;
  }
  const bytes = Buffer.from(random.subarray(next, next + 16));
  next += 16;
  bytes.writeUIntBE(now, 0, 6);
  bytes.writeUInt8((bytes.readUInt8(6) & 0x0f) | 0x70, 6);
  bytes.writeUInt8((bytes.readUInt8(8) & 0x3f) | 0x80, 8);
  return readId(bytes, 0);
}

/** Size of a UUID in bytes. */
export const idBytes = 16;

/** Writes a UUID, given in its lower-case 36-character form, as bytes at this offset. */
export function writeId(id: string, bytes: Uint8Array, from: number): void {
  let at = from;
  for (let index = 0; index < form.length; index += 2) {
    if (id.charCodeAt(index) === dash) index += 1;
    bytes[at++] = (digitOf(id.charCodeAt(index)) << 4) | digitOf(id.charCodeAt(index + 1));
  }
}

export function readId(bytes: Uint8Array, from: number): string {
  let at = from;
  for (let index = 0; index < form.length; index += 2) {
    if (form[index] === dash) index += 1;
    const byte = bytes[at++] as number;
    form[index] = hexDigits[byte >>> 4] as number;
    form[index + 1] = hexDigits[byte & 15] as number;
  }
  return form.toString("latin1"); // one flat string: concatenated slices take five times the memory
}

const dash = 45;
const hexDigits = Buffer.from("0123456789abcdef");
/** The template, which has the dashes. */
const form = Buffer.from("00000000-0000-0000-0000-000000000000");

/** The value of a lower-case hexadecimal digit. */
function digitOf(code: number): number {
  return code < 58 ? code - 48 : code - 87;
}
