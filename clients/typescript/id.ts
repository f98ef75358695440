import { randomFillSync } from "node:crypto";

const counterBits = 12;
const poolBytes = 8_192;

/**
 * Makes a source of UUIDv7 (RFC 9562, section 5.7): each id is greater than the one before, as text too. 48 bits of
 * milliseconds, a counter of 12 bits that starts at a random place in its lower half, and 62 random bits. Where a
 * millisecond's counter is used up, or the clock goes back, the ids run ahead of the clock instead of repeating.
 */
export function createIds(now: () => number): () => string {
  const pool = Buffer.allocUnsafe(poolBytes);
  const bytes = Buffer.allocUnsafe(16);
  let used = poolBytes;
  let lastMs = -1;
  let counter = 0;

  return () => {
    if (used + 10 > poolBytes) {
      randomFillSync(pool);
      used = 0;
    }
    const ms = now();
    if (ms > lastMs) {
      lastMs = ms;
      counter = pool.readUInt16BE(used) >> (16 - counterBits + 1);
    } else if (++counter >> counterBits !== 0) {
      lastMs++;
      counter = pool.readUInt16BE(used) >> (16 - counterBits + 1);
    }
    bytes.writeUIntBE(lastMs, 0, 6);
    bytes.writeUInt16BE(0x7000 | counter, 6);
    pool.copy(bytes, 8, used + 2, used + 10);
    bytes.writeUInt8(0x80 | (bytes.readUInt8(8) & 0x3f), 8);
    used += 10;

    const hex = bytes.toString("hex");
    return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
  };
}
