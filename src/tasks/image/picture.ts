/**
 * The one place that decodes and encodes. It knows nothing of jobs, and no more of the protocol than numbers and names, so
 * that a child process can do the same work; see `child-process.ts`.
 */
import sharp, { type Sharp } from "sharp";
import { systemClock } from "../../clock.ts";
import { maxSeconds } from "./cost.ts";
import type { Plan } from "./plan.ts";
import type { Size } from "./size.ts";

export type Resized = Size & { readonly data: Uint8Array };

// Parallel are the workers, not the steps within one picture; and no picture comes twice, so nothing is worth keeping.
sharp.concurrency(1);
sharp.cache(false);
// The content was recognised before it gets here; should libvips disagree, these must still never see it.
sharp.block({
  operation: ["VipsForeignLoadSvg", "VipsForeignLoadPdf", "VipsForeignLoadMagick", "VipsForeignLoadVips"],
});

/** Reads the header only, which is safe with decompression bombs. The size is that of the picture once it is upright. */
export async function readHeader(bytes: Uint8Array): Promise<Size & { readonly frames: number }> {
  const { autoOrient, pages = 1 } = await sharp(bytes, { limitInputPixels: false }).metadata();
  return { ...autoOrient, frames: pages };
}

/** Most pixels of a target that are kept between the steps: 64 MB. */
const maxKeptPixels = 16_000_000;

/** Whether a picture can be resized as a whole before it is encoded: animations and very large ones cannot. */
export function hasSteps({ width, height, frames }: Plan): boolean {
  return frames === 1 && width * height <= maxKeptPixels;
}

/** Runs a part of the work, and may measure it. */
export type Step = <T>(name: "decode" | "encode", work: () => Promise<T>) => Promise<T>;

/**
 * Strip after strip goes from the decoder through the resizer to the encoder. With `step` all of the picture is resized
 * before it is encoded, so that one can tell how long each took: 1 to 5 % more time, and the target's pixels in memory.
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
  // not all of `info`: it claims that colours are premultiplied, and they no longer are
  const raw = { width: info.width, height: info.height, channels: info.channels };
  const leftMs = maxSeconds * 1000 - (systemClock.monotonicMs() - startedMs);
  const seconds = Math.max(Math.ceil(leftMs / 1000), 1); // 0 would mean no bound
  return step("encode", () => encoded(sharp(data, { raw }).timeout({ seconds }), plan));
}

/** Files by effort 3 of GIF are 3 % larger than by 7, sharp's default, and take half the time. */
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
 * Against 4, sharp's default: 3 makes files of the same size in a quarter of the time, 1 makes them 10 % larger in a tenth.
 * So a photograph of 2 megapixels takes a second, and one of 16 three.
 */
function avifEffort({ width, height }: Plan): number {
  return width * height <= 2_000_000 ? 3 : 1;
}
