import assert from "node:assert/strict";
import { test } from "node:test";
import sharp from "sharp";
import { ImageFit, ImageFormat } from "../../src/gen/millpond/tasks/v1/image_pb.ts";
import { bytes, bytesOf, photo, photoAs, resize } from "./run-resize.ts";

for (const [format, expected] of [
  ["png", "PNG"],
  ["webp", "WEBP"],
  ["avif", "AVIF"],
  ["gif", "GIF"],
  ["tiff", "PNG"],
] as const) {
  test(`a ${format.toUpperCase()} source is read and, when no format is asked for, written as ${expected}`, async () => {
    const output = await resize({ source: bytes(await photoAs(format)), width: 120 });

    assert.equal(output.format, ImageFormat[expected]);
    assert.deepEqual([output.sourceWidth, output.sourceHeight], [600, 400]);
    const { info } = await sharp(bytesOf(output)).raw().toBuffer({ resolveWithObject: true });
    assert.deepEqual([info.width, info.height], [120, 80]);
  });
}

for (const [name, format, written] of [
  ["JPEG", ImageFormat.JPEG, "jpeg"],
  ["PNG", ImageFormat.PNG, "png"],
  ["WEBP", ImageFormat.WEBP, "webp"],
  ["AVIF", ImageFormat.AVIF, "heif"],
  ["GIF", ImageFormat.GIF, "gif"],
] as const) {
  test(`a JPEG becomes ${name} when that is asked for, and the output says what is in the bytes`, async () => {
    const output = await resize({ source: bytes(await photo()), height: 100, format });

    const target = await sharp(bytesOf(output)).metadata();
    assert.equal(target.format, written);
    assert.equal(output.format, format);
    assert.deepEqual([target.width, target.height], [150, 100]);
    assert.deepEqual([output.width, output.height], [150, 100]);
    assert.equal(output.sizeBytes, bytesOf(output).byteLength);
  });
}

for (const [name, input, expected] of [
  ["INSIDE keeps the proportions", { width: 200, height: 200 }, [200, 133]],
  ["INSIDE never enlarges", { width: 2000, height: 2000 }, [600, 400]],
  ["INSIDE with one side never enlarges", { width: 2000 }, [600, 400]],
  ["COVER gives exactly the target", { width: 200, height: 200, fit: ImageFit.COVER }, [200, 200]],
  ["COVER enlarges", { width: 1000, height: 900, fit: ImageFit.COVER }, [1000, 900]],
  ["CONTAIN gives exactly the target", { width: 200, height: 200, fit: ImageFit.CONTAIN }, [200, 200]],
  ["FILL gives exactly the target", { width: 100, height: 300, fit: ImageFit.FILL }, [100, 300]],
  ["FILL with one side keeps the proportions", { height: 800, fit: ImageFit.FILL }, [1200, 800]],
  ["a side never falls below one pixel", { width: 1 }, [1, 1]],
] as const) {
  test(name, async () => {
    const output = await resize({ source: bytes(await photo()), ...input });

    const { width, height } = await sharp(bytesOf(output)).metadata();
    assert.deepEqual([width, height], expected);
    assert.deepEqual([output.width, output.height], expected);
  });
}

test("FILL distorts, COVER cuts, CONTAIN adds white borders to a JPEG and transparent ones to a WebP", async () => {
  const source = bytes(await halves());
  const at = async (fit: ImageFit, format: ImageFormat, x: number, y: number) => {
    const output = await resize({ source, width: 100, height: 100, fit, format });
    const { data, info } = await sharp(bytesOf(output)).raw().toBuffer({ resolveWithObject: true });
    const pixel = data.subarray((y * info.width + x) * info.channels, (y * info.width + x + 1) * info.channels);
    return [...pixel].map((value) => Math.round(value / 255));
  };

  assert.deepEqual(await at(ImageFit.FILL, ImageFormat.JPEG, 1, 1), [1, 0, 0]);
  assert.deepEqual(await at(ImageFit.FILL, ImageFormat.JPEG, 98, 98), [0, 0, 1]);
  assert.deepEqual(await at(ImageFit.COVER, ImageFormat.JPEG, 98, 50), [0, 0, 1]);
  assert.deepEqual(await at(ImageFit.CONTAIN, ImageFormat.JPEG, 1, 1), [1, 1, 1]);
  assert.equal((await at(ImageFit.CONTAIN, ImageFormat.WEBP, 1, 1)).at(3), 0);
  assert.deepEqual(await at(ImageFit.CONTAIN, ImageFormat.WEBP, 1, 50), [1, 0, 0, 1]);
});

test("a picture that was taken with the camera on its side is turned upright, and its metadata is left out", async () => {
  const source = await sharp(await photo())
    .withMetadata({ orientation: 6 })
    .jpeg()
    .toBuffer();

  const output = await resize({ source: bytes(source), width: 100 });

  assert.deepEqual([output.sourceWidth, output.sourceHeight], [400, 600]);
  const target = await sharp(bytesOf(output)).metadata();
  assert.deepEqual([target.width, target.height], [100, 150]);
  assert.equal(target.orientation, undefined);
  assert.equal(target.exif, undefined);
});

test("quality changes the size of the target, and 0 means 80", async () => {
  const size = async (quality: number) =>
    (await resize({ source: bytes(await photo()), width: 300, quality })).sizeBytes;

  assert.ok((await size(30)) < (await size(80)));
  assert.equal(await size(0), await size(80));
});

test("the same input gives the same bytes", async () => {
  const input = { source: bytes(await photo()), width: 300, format: ImageFormat.WEBP };

  assert.deepEqual(bytesOf(await resize(input)), bytesOf(await resize(input)));
});

/** 200 × 100 pixels: red on the left, blue on the right. */
function halves(): Promise<Buffer> {
  const half = (background: string) => ({ create: { width: 100, height: 100, channels: 3, background } as const });
  return sharp({ create: { width: 200, height: 100, channels: 3, background: "red" } })
    .composite([{ input: half("blue"), left: 100, top: 0 }])
    .png()
    .toBuffer();
}
