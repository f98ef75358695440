/**
 * Counts the parts of a picture by walking through its file without decoding anything. Pixels predict the work on a picture
 * only while these parts are few: some steps of the decoders take time for each of them, or for each pair.
 */
import type { SourceFormat } from "./format.ts";
import { tooLarge } from "./size.ts";

type Parts = {
  readonly what: string;
  readonly limit: number;
  /** Stops soon after `limit`. */
  readonly count: (file: Buffer, limit: number) => number;
};

/** Frames that are kept, and frames or pages of which the first is taken. */
export const maxFrames = 2000;

const parts: Partial<Readonly<Record<SourceFormat, Parts>>> = {
  // Each is a pass over the whole picture; an ordinary progressive one has about ten.
  jpeg: { what: "scans", limit: 100, count: scansOf },
  // Each is inflated to up to 8 MB when the header is read.
  png: { what: "text chunks", limit: 64, count: textChunksOf },
  // Reading the header takes time for each pair of them: 10 s for 100,000.
  webp: { what: "frames", limit: maxFrames, count: webpFramesOf },
  // Reading the header takes 6 µs for each. One that comes back to an earlier page has no end.
  tiff: { what: "pages", limit: maxFrames, count: pagesOf },
};

/** Returns how many parts a picture has, 1 where that makes no difference; fails for good when they are too many. */
export function countParts(bytes: Uint8Array, format: SourceFormat): number {
  const rule = parts[format];
  if (rule === undefined) return 1;
  const { what, limit, count } = rule;
  const found = count(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength), limit);
  if (found <= limit) return found;
  throw tooLarge(`the source has more than ${limit} ${what}, which is the limit: save it with fewer`, { limit });
}

/** Frames of an animated PNG, by its chunk `acTL`, which libvips does not know; 1 for any other PNG. */
export function pngFrames(bytes: Uint8Array): number {
  const file = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const data = file.indexOf("IDAT");
  const control = file.subarray(0, Math.max(data - 8, 0)).indexOf("acTL");
  return control < 0 ? 1 : file.readUInt32BE(control + 4);
}

/** Walks from marker to marker up to the end of the picture (ISO 10918-1, B.1.1); cameras append films to it. */
function scansOf(file: Buffer, limit: number): number {
  let scans = 0;
  let at = file.indexOf(0xff, 2);
  while (at >= 0 && at + 4 <= file.length && scans <= limit) {
    const marker = file[at + 1] as number;
    if (marker === 0xd9) break;
    if (marker === 0xda) scans += 1;
    const hasLength = marker >= 0xc0 && marker !== 0xff && (marker < 0xd0 || marker > 0xd8);
    at = file.indexOf(0xff, at + (marker === 0xff ? 1 : 2) + (hasLength ? file.readUInt16BE(at + 2) : 0));
  }
  return scans;
}

function textChunksOf(file: Buffer, limit: number): number {
  let texts = 0;
  for (let at = 8; at + 8 <= file.length && texts <= limit; at += 12 + file.readUInt32BE(at)) {
    const type = file.toString("latin1", at + 4, at + 8);
    if (type === "zTXt" || type === "iTXt") texts += 1;
  }
  return texts;
}

/** Chunks of RIFF have even sizes. */
function webpFramesOf(file: Buffer, limit: number): number {
  let frames = 0;
  for (let at = 12; at + 8 <= file.length && frames <= limit; ) {
    if (file.toString("latin1", at, at + 4) === "ANMF") frames += 1;
    const bytes = file.readUInt32LE(at + 4);
    at += 8 + bytes + (bytes % 2);
  }
  return frames;
}

/** Follows the chain of image file directories, of TIFF 6.0 or BigTIFF. */
function pagesOf(file: Buffer, limit: number): number {
  const isLittle = file[0] === 0x49;
  const isBig = file[isLittle ? 2 : 3] === 0x2b;
  const read = (at: number, bytes: 2 | 4 | 8): number => {
    if (at + bytes > file.length) return 0;
    if (bytes === 8) return Number(isLittle ? file.readBigUInt64LE(at) : file.readBigUInt64BE(at));
    return isLittle ? file.readUIntLE(at, bytes) : file.readUIntBE(at, bytes);
  };
  const [countBytes, entryBytes, offsetBytes] = isBig ? ([8, 20, 8] as const) : ([2, 12, 4] as const);
  let pages = 0;
  let at = read(isBig ? 8 : 4, offsetBytes);
  while (at !== 0 && at < file.length && pages <= limit) {
    pages += 1;
    at = read(at + countBytes + read(at, countBytes) * entryBytes, offsetBytes);
  }
  return pages;
}
