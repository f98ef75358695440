/** What makes a picture slow beyond its pixels is counted before it is decoded: small files that take minutes otherwise. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { crc32, deflateSync } from "node:zlib";
import sharp from "sharp";
import type { SourceFormat } from "../../src/tasks/image/format.ts";
import { countParts } from "../../src/tasks/image/structure.ts";
import { bytes, photo, resize } from "./run-resize.ts";

const tooMany = (what: string, limit: number) => ({
  reason: "image_too_large",
  retryable: false,
  message: `the source has more than ${limit} ${what}, which is the limit: save it with fewer`,
  details: { limit },
});

const cases = [
  { format: "jpeg", what: "scans", limit: 100, make: jpegOf },
  { format: "png", what: "text chunks", limit: 64, make: pngOf },
  { format: "webp", what: "frames", limit: 2000, make: webpOf },
  { format: "tiff", what: "pages", limit: 2000, make: (parts: number) => tiffOf(parts) },
] as const;

for (const { format, what, limit, make } of cases) {
  test(`a ${format} with ${limit} ${what} is read, and one with more is refused unread`, async () => {
    const source = await make(limit);
    assert.equal(countParts(source, format), limit);
    await resize({ source: bytes(source), width: 5 }).catch((error: { reason: string }) => {
      assert.equal(error.reason, "image_broken"); // the parts are copies, which not every decoder takes
    });

    await assert.rejects(resize({ source: bytes(await make(limit + 1)), width: 5 }), tooMany(what, limit));
  });

  test(`a ${format} is counted wherever it breaks off, and when it is noise`, async () => {
    const source = await make(3);
    for (let length = 0; length <= source.length; length += 1) countParts(source.subarray(0, length), format);
    const noise = Buffer.concat([source.subarray(0, 12), Buffer.alloc(1000, 0xff)]);
    assert.ok(countParts(noise, format) <= limit);
  });
}

describe("TIFF", () => {
  test("1.9 million pages are refused after the first 2000", async () => {
    await assert.rejects(resize({ source: bytes(tiffOf(1_900_000)), width: 5 }), tooMany("pages", 2000));
  });

  test("pages that come back to the first one have no end", async () => {
    const source = tiffOf(3);
    source.writeUInt32LE(8, source.length - 4);

    await assert.rejects(resize({ source: bytes(source), width: 5 }), tooMany("pages", 2000));
  });

  for (const bigtiff of [false, true]) {
    for (const pages of [1, 4]) {
      test(`${pages} pages are counted in a ${bigtiff ? "BigTIFF" : "TIFF"}`, async () => {
        const tall = { width: 10, height: 10 * pages, channels: 3, pageHeight: 10 } as const;
        const source = await sharp(Buffer.alloc(300 * pages), { raw: tall })
          .tiff({ bigtiff })
          .toBuffer();

        assert.equal(countParts(source, "tiff"), pages);
      });
    }
  }
});

describe("JPEG", () => {
  test("scans are those of the picture: neither of a thumbnail in it, nor what a camera appends", async () => {
    const whole = await sharp(await photo())
      .jpeg({ progressive: true })
      .toBuffer();
    const scans = countParts(whole, "jpeg");
    const thumbnail = Buffer.concat([Buffer.from([0xff, 0xe1, 0, 34]), Buffer.alloc(32, Buffer.from([0xff, 0xda]))]);
    const film = Buffer.alloc(1000, Buffer.from([0xff, 0xda]));

    const source = Buffer.concat([whole.subarray(0, 2), thumbnail, whole.subarray(2), film]);

    assert.ok(scans > 5 && scans < 20, `${scans} scans`);
    assert.equal(countParts(source, "jpeg"), scans);
  });

  test("a picture in one scan has one", async () => {
    assert.equal(countParts(await small("jpeg"), "jpeg"), 1);
  });
});

for (const format of ["gif", "avif"] satisfies SourceFormat[]) {
  test(`nothing is counted in a ${format}, whose header is read in no time`, async () => {
    const source = await sharp(await photo())
      .toFormat(format)
      .toBuffer();

    assert.equal(countParts(source, format), 1);
  });
}

async function small(format: "jpeg" | "png" | "webp"): Promise<Buffer> {
  return sharp(await photo())
    .resize(10, 10)
    .toFormat(format)
    .toBuffer();
}

/** The same scan, again and again. */
async function jpegOf(scans: number): Promise<Buffer> {
  const one = await small("jpeg");
  const [at, end] = [one.lastIndexOf(Buffer.from([0xff, 0xda])), one.length - 2];
  return Buffer.concat([one.subarray(0, at), ...Array<Buffer>(scans).fill(one.subarray(at, end)), one.subarray(end)]);
}

async function pngOf(texts: number): Promise<Buffer> {
  const one = await small("png");
  const text = pngChunk("zTXt", Buffer.concat([Buffer.from("a\0\0"), deflateSync(Buffer.alloc(100))]));
  return Buffer.concat([one.subarray(0, 33), ...Array<Buffer>(texts).fill(text), one.subarray(33)]);
}

function pngChunk(type: string, data: Buffer): Buffer {
  const [length, sum, body] = [Buffer.alloc(4), Buffer.alloc(4), Buffer.concat([Buffer.from(type), data])];
  length.writeUInt32BE(data.length);
  sum.writeUInt32BE(crc32(body));
  return Buffer.concat([length, body, sum]);
}

/** An animation of the same frame, again and again, put together as the container specification of WebP says. */
async function webpOf(frames: number): Promise<Buffer> {
  const still = (await small("webp")).subarray(12);
  const size = Buffer.from([9, 0, 0]);
  const frame = Buffer.concat([Buffer.alloc(6), size, size, Buffer.from([10, 0, 0, 0]), still]);
  const body = Buffer.concat([
    riffChunk("VP8X", Buffer.concat([Buffer.from([2, 0, 0, 0]), size, size])),
    riffChunk("ANIM", Buffer.alloc(6)),
    ...Array<Buffer>(frames).fill(riffChunk("ANMF", frame)),
  ]);
  return riffChunk("RIFF", Buffer.concat([Buffer.from("WEBP"), body]));
}

function riffChunk(type: string, data: Buffer): Buffer {
  const length = Buffer.alloc(4);
  length.writeUInt32LE(data.length);
  return Buffer.concat([Buffer.from(type), length, data, Buffer.alloc(data.length % 2)]);
}

/** Pages without any entry. */
function tiffOf(pages: number): Buffer {
  const file = Buffer.alloc(8 + pages * 6);
  file.write("II*\0", "latin1");
  file.writeUInt32LE(8, 4);
  for (let page = 1; page < pages; page += 1) file.writeUInt32LE(8 + page * 6, 8 + page * 6 - 4);
  return file;
}
