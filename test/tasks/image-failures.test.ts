import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { test } from "node:test";
import sharp from "sharp";
import { ImageFit, ImageFormat } from "../../src/gen/millpond/tasks/v1/image_pb.ts";
import { bytes, photo, resize } from "./run-resize.ts";

test("a target wider than the limit fails for good and names both numbers", async () => {
  await assert.rejects(resize({ source: bytes(await photo()), width: 9000 }), {
    reason: "image_too_large",
    retryable: false,
    message: /9000 pixels wide and the limit is 4000/,
    details: { width: 9000, limit: 4000 },
  });
});

test("the limit holds for a width that follows from the height, too", async () => {
  const input = { source: bytes(await photo()), height: 400, fit: ImageFit.FILL };

  assert.equal((await resize(input, { maxWidth: 600 })).width, 600);
  await assert.rejects(resize(input, { maxWidth: 599 }), { details: { width: 600, limit: 599 } });
});

test("a source with more pixels than the limit fails for good and names both numbers", async () => {
  const input = { source: bytes(await photo()), width: 100 };

  assert.equal((await resize(input, { maxPixels: 240_000 })).width, 100);
  await assert.rejects(resize(input, { maxPixels: 239_999 }), {
    reason: "image_too_large",
    retryable: false,
    message: /240000 pixels .* limit is 239999/,
    details: { pixels: 240_000, limit: 239_999 },
  });
});

test("a small file that unpacks to a huge picture is refused by its header", async () => {
  const background = { r: 0, g: 0, b: 0 };
  const bomb = await sharp({ create: { width: 8000, height: 8000, channels: 3, background }, limitInputPixels: false })
    .png()
    .toBuffer();

  await assert.rejects(resize({ source: bytes(bomb), width: 10 }), {
    reason: "image_too_large",
    details: { pixels: 64_000_000, limit: 50_000_000 },
  });
});

test("a target with more pixels than the limit, or one that is too high to be stored, fails for good", async () => {
  const source = bytes(await photo());

  await assert.rejects(resize({ source, width: 4000, height: 16_000, fit: ImageFit.FILL }), {
    reason: "image_too_large",
    details: { pixels: 64_000_000, limit: 50_000_000 },
  });
  const tall = await sharp(await photo())
    .resize({ width: 2, height: 400, fit: "fill" })
    .png()
    .toBuffer();
  await assert.rejects(resize({ source: bytes(tall), width: 100, fit: ImageFit.FILL }), {
    reason: "image_too_large",
    details: { height: 20_000, limit: 16_383 },
  });
});

test("a picture that breaks off in the middle is broken, not half a picture", async () => {
  const whole = await photo();

  await assert.rejects(resize({ source: bytes(whole.subarray(0, whole.length / 2)), width: 100 }), {
    reason: "image_broken",
    retryable: false,
  });
});

for (const [format, head] of [
  ["JPEG", "\xff\xd8\xff\xe0"],
  ["PNG", "\x89PNG\r\n\x1a\n"],
  ["WebP", "RIFF\x40\0\0\0WEBPVP8 "],
  ["GIF", "GIF89a"],
  ["TIFF", "II*\0\x08\0\0\0"],
  ["AVIF", "\0\0\0\x18ftypavif\0\0\0\0mif1avif"],
] as const) {
  test(`noise that begins like a ${format} is broken`, async () => {
    const noise = Buffer.concat([Buffer.from(head, "latin1"), randomBytes(2000)]);

    await assert.rejects(resize({ source: bytes(noise), width: 10 }), { reason: "image_broken", retryable: false });
  });
}

test("a target that no result can carry fails for good, with its size and the remedy", async () => {
  const noise = await sharp(randomBytes(1200 * 1200 * 3), { raw: { width: 1200, height: 1200, channels: 3 } })
    .jpeg()
    .toBuffer();

  await assert.rejects(resize({ source: bytes(noise), width: 1200, format: ImageFormat.PNG }), {
    reason: "output_too_large",
    retryable: false,
    message: /has \d{7} bytes and a result carries at most 3145728: set outputPath/,
  });
});
