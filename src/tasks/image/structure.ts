/**
 * Counts the parts of a picture by parsing its file without decoding it. Pixels predict the work only if there are few
 * parts: some steps of the decoders take time for each part, or for each pair.
 */
import type { SourceFormat } from "./format.ts";
import { tooLarge } from "./size.ts";

type Parts = {
  readonly what: string;
  readonly limit: number;
  /** Counts the parts; stops soon after `limit`. */
  readonly count: (file: Buffer, limit: number) => number;
};

/** Bound on frames that are kept, and on frames or pages of which only the first is used. */
export const maxFrames = 2000;

const parts: Partial<Readonly<Record<SourceFormat, Parts>>> = {
  // each is a pass over the whole picture; an ordinary progressive JPEG has about ten
  jpeg: { what: "scans", limit: 100, count: scansOf },
  // each may inflate to 8 MB when the header is read
  png: { what: "text chunks", limit: 64, count: textChunksOf },
  // reading the header takes quadratic time: 10 s for 100,000 frames
  webp: { what: "frames", limit: maxFrames, count: webpFramesOf },
  // reading the header takes 6 µs per page, and a chain that links back to an earlier page never ends
  tiff: { what: "pages", limit: maxFrames, count: pagesOf },
};

/** The number of parts of a picture, 1 for formats where it does not matter; fails permanently if there are too many. */
export function countParts(bytes: Uint8Array, format: SourceFormat): number {
  const rule = parts[format];
  if (rule === undefined) return 1;
  const { what, limit, count } = rule;
  const found = count(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength), limit);
  if (found <= limit) return found;
  throw tooLarge(`the source has more than ${limit} ${what}, which is the limit: save it with fewer`, { limit });
}

/** Frames of an animated PNG, from its chunk `acTL`, which libvips ignores; 1 for any other PNG. */
export function pngFrames(bytes: Uint8Array): number {
  const file = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const data = file.indexOf("IDAT");
  const control = file.subarray(0, Math.max(data - 8, 0)).indexOf("acTL");
  return control < 0 ? 1 : file.readUInt32BE(control + 4);
}

/** Visits the markers up to the end of the picture (ISO 10918-1, B.1.1); cameras may append videos after it. */
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

/** RIFF chunks are padded to even sizes. */
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
