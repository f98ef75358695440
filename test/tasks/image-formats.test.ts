import assert from "node:assert/strict";
import { mkdtemp, readFile, realpath, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { crc32 } from "node:zlib";
import sharp from "sharp";
import { ImageFit, ImageFormat } from "../../src/gen/millpond/tasks/v1/image_pb.ts";
import { resizePicture, type Step } from "../../src/tasks/image/picture.ts";
import { bytes, bytesOf, photo, resize } from "./run-resize.ts";

for (const [outputPath, written] of [
  ["x.png", "png"],
  ["x.JPG", "jpeg"],
  ["x.webp", "webp"],
  ["x.avif", "heif"],
  ["x.gif", "gif"],
] as const) {
  test(`outputPath ${outputPath} of a JPEG is what its name says`, async (t) => {
    const root = await mkdtemp(join(await realpath(tmpdir()), "millpond-formats-"));
    t.after(() => rm(root, { recursive: true }));

    const output = await resize({ source: bytes(await photo()), width: 60, outputPath }, { root });

    assert.equal((await sharp(await readFile(join(root, outputPath))).metadata()).format, written);
    assert.deepEqual([output.width, output.height], [60, 40]);
  });
}

for (const bigtiff of [false, true]) {
  test(`a ${bigtiff ? "BigTIFF" : "TIFF"} is read`, async () => {
    const source = await sharp(await photo())
      .tiff({ bigtiff })
      .toBuffer();

    assert.equal((await resize({ source: bytes(source), width: 60 })).format, ImageFormat.PNG);
  });
}

const stepByStep: Step = (_, work) => work();
for (const [format, step] of (["png", "webp", "avif"] as const).flatMap((each) => [
  [each, undefined] as const,
  [each, stepByStep] as const,
])) {
  test(`half-transparent colours stay as they are in a ${format}${step ? " that is made step by step" : ""}`, async () => {
    const colour = { r: 180, g: 140, b: 120, alpha: 0.5 };
    const picture = sharp({ create: { width: 60, height: 40, channels: 4, background: colour } });
    const size = { width: 30, height: 20, fit: "fill", frames: 1, maxPixels: 10_000 } as const;
    const { data } = await resizePicture(await picture.png().toBuffer(), { ...size, format, quality: 100 }, step);
    const pixels = await sharp(data).ensureAlpha().raw().toBuffer();
    for (const [at, value] of [180, 140, 120, 127].entries()) {
      assert.ok(Math.abs((pixels[at] as number) - value) <= 4, `${at}: ${pixels[at]} and not ${value}`);
    }
  });
}

for (const from of ["gif", "webp"] as const) {
  for (const [to, format] of [
    ["gif", ImageFormat.GIF],
    ["webp", ImageFormat.WEBP],
  ] as const) {
    for (const fit of ["INSIDE", "COVER", "CONTAIN", "FILL"] as const) {
      test(`an animated ${from} keeps its frames and their times as ${to}, ${fit}`, async () => {
        const output = await resize({
          source: bytes(await moving(from)),
          width: 30,
          height: 20,
          fit: ImageFit[fit],
          format,
        });

        const target = await sharp(bytesOf(output)).metadata();
        assert.deepEqual([target.format, target.pages, target.delay], [to, 4, [100, 200, 300, 400]]);
        assert.deepEqual([target.width, target.pageHeight ?? target.height], [30, 20]);
        assert.deepEqual([output.width, output.height], [30, 20]);
        assert.deepEqual([output.frames, output.sourceFrames], [4, 4]);
      });
    }
  }

  test(`an animated ${from} that becomes a JPEG says that it has one frame of four`, async () => {
    const output = await resize({ source: bytes(await moving(from)), width: 30, format: ImageFormat.JPEG });

    assert.deepEqual([output.frames, output.sourceFrames], [1, 4]);
  });
}

test("an animation counts with all its frames, and as a still with one", async () => {
  const source = bytes(await moving("gif"));

  await assert.rejects(resize({ source, width: 30 }, { maxPixels: 9599 }), {
    reason: "image_too_large",
    retryable: false,
    message: /9600 pixels \(4 frames of 60 × 40\) and the limit is 9599: .* take only the first frame/,
    details: { pixels: 9600, limit: 9599 },
  });
  assert.equal((await resize({ source, width: 30 }, { maxPixels: 9600 })).frames, 4);
  assert.equal((await resize({ source, width: 30, format: ImageFormat.PNG }, { maxPixels: 2400 })).frames, 1);
});

test("of a TIFF with several pages the target is the first, and the output says so", async () => {
  const pages = sharp(frames(), { raw: { width: 60, height: 160, channels: 3, pageHeight: 40 } });
  const output = await resize({ source: bytes(await pages.tiff().toBuffer()), width: 30 });

  assert.deepEqual([output.sourceHeight, output.frames, output.sourceFrames], [40, 1, 4]);
});

test("an animated PNG becomes its still picture, and the output says so", async () => {
  const still = await sharp(await photo())
    .png()
    .toBuffer();
  const control = Buffer.alloc(20); // the chunk acTL: its length, its name, 7 frames, without end, the checksum
  control.writeUInt32BE(8);
  control.write("acTL", 4);
  control.writeUInt32BE(7, 8);
  control.writeUInt32BE(crc32(control.subarray(4, 16)), 16);

  const moving = await resize({
    source: bytes(Buffer.concat([still.subarray(0, 33), control, still.subarray(33)])),
    width: 30,
  });
  assert.deepEqual([moving.frames, moving.sourceFrames], [1, 7]);
  const other = await resize({ source: bytes(still), width: 30 });
  assert.deepEqual([other.frames, other.sourceFrames], [1, 1]);
});

const ftyp = (...brands: readonly string[]) =>
  `\0\0\0${String.fromCharCode(8 + 4 * brands.length)}ftyp${brands.join("")}`;
const utf16 = Buffer.concat([Buffer.of(0xff, 0xfe), Buffer.from("<svg></svg>", "utf16le")]).toString("latin1");

for (const [what, content] of [
  ["empty", ""],
  ["HEIC", ftyp("heic", "\0\0\0\0", "mif1", "heic")],
  ["HEIC", ftyp("mif1", "\0\0\0\0", "mif1", "heic")],
  ["HEIF", ftyp("mif1", "\0\0\0\0", "mif1")],
  ["a video (MP4 or QuickTime)", ftyp("isom", "\0\0\0\0", "isom", "avc1")],
  ["BMP", "BM\x46\0\0\0"],
  ["SVG", '<svg xmlns="http://www.w3.org/2000/svg"><rect/></svg>'],
  ["SVG", '\xef\xbb\xbf<?xml version="1.0"?>\n<!-- drawn -->\n<!DOCTYPE svg PUBLIC "-//W3C//DTD SVG 1.1//EN">\n<svg>'],
  ["SVG", utf16],
  ["HTML", "\n<!DOCTYPE html>\n<html><body><svg>"],
  ["HTML", "<!-- saved --><html><head>"],
  ["XML", '<?xml version="1.0"?><feed>'],
  ["JSON", '{"error": "not found"}'],
  ["PDF", "%PDF-1.7\n1 0 obj << /Type /Catalog >> endobj"],
  ["PostScript", "%!PS-Adobe-3.0 EPSF-3.0"],
  ["JPEG XL", "\xff\x0a\xfa\x1f"],
  ["JPEG XL", "\0\0\0\x0cJXL \r\n\x87\n"],
  ["JPEG 2000", "\0\0\0\x0cjP  \r\n\x87\n"],
  ["an icon (ICO)", "\0\0\x01\0\x01\0\x10\x10"],
  ["Photoshop (PSD)", "8BPS\0\x01"],
  ["a picture of the Netpbm family (PPM, PGM, PBM, PAM)", "P6\n10 10\n255\n"],
  ["a sound or video (RIFF)", "RIFF\x24\0\0\0WAVEfmt "],
  ["a ZIP archive", "PK\x03\x04\x14\0"],
  ["plain text", "this is no picture at all, whatever its name says"],
  ["of an unknown kind", "\x01\x02\x03\x04\x05\x06"],
] as const) {
  test(`a source that begins with ${JSON.stringify(content.slice(0, 24))} is ${what}`, async () => {
    await assert.rejects(resize({ source: bytes(Buffer.from(content, "latin1")), width: 10 }), {
      reason: "unsupported_format",
      retryable: false,
      message: `the source is ${what}, which is none of JPEG, PNG, WebP, AVIF, GIF and TIFF: convert it first`,
      details: { source: what },
    });
  });
}

/** Four frames of 60 × 40 pixels, each of its own grey. */
function frames(): Buffer {
  return Buffer.concat([0, 80, 160, 240].map((grey) => Buffer.alloc(60 * 40 * 3, grey)));
}

function moving(format: "gif" | "webp"): Promise<Buffer> {
  return sharp(frames(), { raw: { width: 60, height: 160, channels: 3, pageHeight: 40 } })
    .toFormat(format, { delay: [100, 200, 300, 400] })
    .toBuffer();
}
