import { randomFillSync } from "node:crypto";

const random = new Uint8Array(16 * 256);
let next = random.length;

/**
 * A new job id: a UUIDv7 (RFC 9562 §5.7), 48 bits of `now` (milliseconds since 1970) before 74 random ones, so that ids
 * made later sort behind and the store's index grows at its end.
 */
export function newId(now: number): string {
  if (next === random.length) {
    randomFillSync(random); // for 256 ids at once: one system call for each would cost more than the rest
    next = 0;
  }
  const bytes = Buffer.from(random.subarray(next, next + 16));
  next += 16;
  bytes.writeUIntBE(now, 0, 6);
  bytes.writeUInt8((bytes.readUInt8(6) & 0x0f) | 0x70, 6);
  bytes.writeUInt8((bytes.readUInt8(8) & 0x3f) | 0x80, 8);
  const hex = bytes.toString("hex");
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}
