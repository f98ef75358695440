/**
 * Looks for damage inside SQLite's write-ahead log, which SQLite itself cannot tell from the log's end: it stops at the
 * first frame that does not match its checksum, and everything behind it would be lost without a word.
 * https://sqlite.org/fileformat2.html#the_write_ahead_log
 */
import { closeSync, fstatSync, openSync, readSync } from "node:fs";
import { StartError } from "../../../errors.ts";

/** A log's bytes. `read` gives a view that the next `read` may overwrite. */
export type LogBytes = { readonly size: number; read(at: number, length: number): DataView };

export type LogDamage = {
  /** The byte at which the bad header or frame begins. */ readonly at: number;
  readonly what: string;
};

/** SQLite's checksum: two sums, each over every second word. */
type Sums = readonly [number, number];
type Shape = { readonly isLittleEndian: boolean; readonly pageBytes: number; readonly seed: Sums };

const headerBytes = 32;
const frameHeaderBytes = 24;
const magic = 0x377f_0682; // or 1 more, when checksums are of words with the high byte first
const pageSizes = [512, 1_024, 2_048, 4_096, 8_192, 16_384, 32_768, 65_536];
/** What a disk writes at once: a frame's header that lies across two of these may be half old after a power cut. */
const sectorBytes = 512;

/** Throws a StartError when the write-ahead log of this store has lost what was synced. Changes nothing. */
export function assertLogWhole(path: string): void {
  const file = openLog(path);
  if (file === undefined) return;
  try {
    const damage = findLogDamage(toLogBytes(file));
    if (damage === undefined) return;
    throw new StartError(
      `${path}-wal is damaged: ${damage.what} at byte ${damage.at}, and what follows was synced, so that starting would ` +
        "lose it: restore the store from a backup and remove this log, or choose another path",
    );
  } finally {
    closeSync(file);
  }
}

/**
 * Finds a bad frame behind which there is what was written after its commit had been synced; undefined when there is
 * none. A transaction whose sync never came back may be there in part, in any order, and is no damage: with
 * `synchronous=FULL` nothing is written behind it.
 */
export function findLogDamage(log: LogBytes): LogDamage | undefined {
  if (log.size < headerBytes + frameHeaderBytes) return undefined;
  const header = log.read(0, headerBytes);
  const shape = shapeOf(header);
  // The header is synced before the first frame is written.
  if (!shape) return hasFrame(log, header) ? { at: 0, what: "the header does not match its checksum" } : undefined;
  const salts = header.getBigUint64(16);
  const frameBytes = frameHeaderBytes + shape.pageBytes;
  let badAt: number | undefined;
  let stored = shape.seed;
  let counted = shape.seed;
  let wasCommit = false;
  for (let at = headerBytes; at + frameBytes <= log.size; at += frameBytes) {
    const frame = log.read(at, frameBytes);
    const isCurrent = frame.getBigUint64(8) === salts; // others are of the log's former uses
    // where only the checksum before is wrong, the one that it should be leads on
    const goesOn = [stored, counted].some((sums) => matches(frame, sums, shape.isLittleEndian));
    const isGood = isCurrent && goesOn;
    // What goes on from a commit was written after that commit's sync.
    if (badAt !== undefined && isGood && wasCommit) return { at: badAt, what: "the frame does not match its checksum" };
    if (!isGood) badAt ??= at;
    const isHeaderWhole = isCurrent && (at % sectorBytes) + frameHeaderBytes <= sectorBytes;
    wasCommit = (goesOn || isHeaderWhole) && frame.getUint32(4) !== 0;
    counted = goesOn ? sumsIn(frame, 16) : sumOf(frame, stored, shape.isLittleEndian);
    stored = sumsIn(frame, 16);
  }
  return undefined;
}

/** What a sound header says; undefined when it is not sound. */
function shapeOf(header: DataView): Shape | undefined {
  const isLittleEndian = header.getUint32(0) === magic;
  if (!isLittleEndian && header.getUint32(0) !== magic + 1) return undefined;
  const pageBytes = header.getUint32(8);
  const seed = seedOf(header, isLittleEndian);
  if (!isSame(seed, sumsIn(header, headerBytes - 8)) || !pageSizes.includes(pageBytes)) return undefined;
  return { isLittleEndian, pageBytes, seed };
}

/** Whether a log whose header is not to be trusted holds a frame, whatever its shape. */
function hasFrame(log: LogBytes, header: DataView): boolean {
  const stored = sumsIn(header, headerBytes - 8);
  const orders = [true, false].map((isLittleEndian) => ({ isLittleEndian, counted: seedOf(header, isLittleEndian) }));
  return orders.some(({ isLittleEndian, counted }) =>
    pageSizes.some((pageBytes) => {
      const frameBytes = frameHeaderBytes + pageBytes;
      const secondAt = headerBytes + frameBytes;
      if (log.size < secondAt) return false;
      const first = log.read(headerBytes, frameBytes);
      if (matches(first, stored, isLittleEndian) || matches(first, counted, isLittleEndian)) return true;
      const sums = sumsIn(first, 16);
      return secondAt + frameBytes <= log.size && matches(log.read(secondAt, frameBytes), sums, isLittleEndian);
    }),
  );
}

/** Whether a frame's checksum goes on from the one before. A frame of zeros is no frame. */
function matches(frame: DataView, before: Sums, isLittleEndian: boolean): boolean {
  if (frame.getUint32(0) === 0) return false;
  return isSame(sumOf(frame, before, isLittleEndian), sumsIn(frame, 16));
}

/** A frame's checksum is over the first part of its header and its page. */
function sumOf(frame: DataView, before: Sums, isLittleEndian: boolean): Sums {
  const sums = addUp(frame, 0, 8, before, isLittleEndian);
  return addUp(frame, frameHeaderBytes, frame.byteLength, sums, isLittleEndian);
}

const seedOf = (header: DataView, isLittleEndian: boolean) => addUp(header, 0, headerBytes - 8, [0, 0], isLittleEndian);

function addUp(bytes: DataView, from: number, to: number, [one, two]: Sums, isLittleEndian: boolean): Sums {
  let [first, second] = [one | 0, two | 0];
  for (let at = from; at < to; at += 8) {
    first = (first + bytes.getInt32(at, isLittleEndian) + second) | 0;
    second = (second + bytes.getInt32(at + 4, isLittleEndian) + first) | 0;
  }
  return [first, second];
}

const sumsIn = (bytes: DataView, at: number): Sums => [bytes.getInt32(at), bytes.getInt32(at + 4)];
const isSame = (one: Sums, other: Sums) => one[0] === other[0] && one[1] === other[1];

/** Undefined: there is none. */
function openLog(path: string): number | undefined {
  try {
    return openSync(`${path}-wal`, "r");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}

function toLogBytes(file: number): LogBytes {
  const space = new Uint8Array(frameHeaderBytes + pageSizes.at(-1)!);
  return {
    size: fstatSync(file).size,
    read: (at, length) => {
      if (readSync(file, space, 0, length, at) < length)
        throw new Error(`a read of ${length} bytes at ${at} fell short`);
      return new DataView(space.buffer, 0, length);
    },
  };
}
