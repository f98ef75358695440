/**
 * The only module that decodes and encodes pictures. It is independent of jobs and takes only plain data, so that a
 * child process can do the same work; see `child-process.ts`.
 */
import sharp, { type Sharp } from "sharp";
import { systemClock } from "../../clock.ts";
import { maxSeconds } from "./cost.ts";
import type { Plan } from "./plan.ts";
import type { Size } from "./size.ts";

export type Resized = Size & { readonly data: Uint8Array };

// one thread per picture, because workers run in parallel; no cache, because pictures do not repeat
sharp.concurrency(1);
sharp.cache(false);
// the format was recognised before; should libvips disagree, these loaders must still never run
sharp.block({
  operation: ["VipsForeignLoadSvg", "VipsForeignLoadPdf", "VipsForeignLoadMagick", "VipsForeignLoadVips"],
});

/** Reads only the header, which is safe for decompression bombs. The size takes the EXIF orientation into account. */
export async function readHeader(bytes: Uint8Array): Promise<Size & { readonly frames: number }> {
  const { autoOrient, pages = 1 } = await sharp(bytes, { limitInputPixels: false }).metadata();
  return { ...autoOrient, frames: pages };
}

/** Bound on the pixels of a target that are kept in memory between the steps: 64 MB. */
const maxKeptPixels = 16_000_000;

/** Whether a picture can be resized completely before it is encoded: not for animations and very large pictures. */
export function hasSteps({ width, height, frames }: Plan): boolean {
  return frames === 1 && width * height <= maxKeptPixels;
}

/** Runs a step of the work, and may measure it. */
export type Step = <T>(name: "decode" | "encode", work: () => Promise<T>) => Promise<T>;

/**
 * Strips stream from the decoder through the resizer to the encoder. With `step`, the whole picture is resized before
 * it is encoded, so that the steps can be measured; that takes 1 to 5 % more time and keeps the target's pixels in
 * memory.
 */
export async function resizePicture(bytes: Uint8Array, plan: Plan, step?: Step): Promise<Resized> {
  const { width, height, fit, format, frames, maxPixels } = plan;
  const background = format === "jpeg" ? "#ffffffff" : "#ffffff00";
  const scaled = sharp(bytes, { limitInputPixels: maxPixels, failOn: "error", pages: frames })
    .timeout({ seconds: maxSeconds })
    .autoOrient()
    .resize({ width, height, fit, background });
  if (format === "jpeg") scaled.flatten({ background });
  if (!step) return encoded(scaled, plan);
  const startedMs = systemClock.monotonicMs();
  const { data, info } = await step("decode", () => scaled.raw().toBuffer({ resolveWithObject: true }));
  // not all of `info`: it says that colours are premultiplied, but they no longer are
  const raw = { width: info.width, height: info.height, channels: info.channels };
  const leftMs = maxSeconds * 1000 - (systemClock.monotonicMs() - startedMs);
  const seconds = Math.max(Math.ceil(leftMs / 1000), 1); // 0 would mean no bound
  return step("encode", () => encoded(sharp(data, { raw }).timeout({ seconds }), plan));
}

/** GIF with effort 3 gives files 3 % larger than 7, sharp's default, in half the time. */
async function encoded(picture: Sharp, plan: Plan): Promise<Resized> {
  const { format, quality } = plan;
  if (format === "jpeg") picture.jpeg({ quality });
  else if (format === "webp") picture.webp({ quality });
  else if (format === "avif") picture.avif({ quality, effort: avifEffort(plan) });
  else if (format === "gif") picture.gif({ effort: 3 });
  else picture.png();
  const { data, info } = await picture.toBuffer({ resolveWithObject: true });
  return { data, width: info.width, height: info.pageHeight ?? info.height };
}

/**
 * Compared with 4, sharp's default, 3 gives files of the same size in a quarter of the time, and 1 gives 10 % larger
 * files in a tenth. So a photograph of 2 megapixels takes a second, and one of 16 three.
 */
function avifEffort({ width, height }: Plan): number {
  return width * height <= 2_000_000 ? 3 : 1;
}
