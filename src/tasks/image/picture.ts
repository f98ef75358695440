/**
 * The one place that decodes and encodes. It knows nothing of jobs, and no more of the protocol than numbers and names, so
 * that a child process can do the same work; see `child-process.ts`.
 */
import sharp from "sharp";
import { maxSeconds } from "./cost.ts";
import type { SourceFormat } from "./format.ts";
import type { Plan, Source } from "./plan.ts";
import type { Size } from "./size.ts";

export type Resized = Size & { readonly data: Uint8Array };

// Parallel are the workers, not the steps within one picture; and no picture comes twice, so nothing is worth keeping.
sharp.concurrency(1);
sharp.cache(false);
// The content was recognised before it gets here; should libvips disagree, these must still never see it.
sharp.block({
  operation: ["VipsForeignLoadSvg", "VipsForeignLoadPdf", "VipsForeignLoadMagick", "VipsForeignLoadVips"],
});

/** Reads the header only, so a bomb does not go off here. */
export async function readHeader(bytes: Uint8Array, format: SourceFormat): Promise<Omit<Source, "parts">> {
  const { autoOrient, pages = 1 } = await sharp(bytes, { limitInputPixels: false }).metadata();
  return { ...autoOrient, frames: pages, format };
}

/**
 * Effort 1 of AVIF: at a quality of 80, more makes files no smaller and takes up to 20 times as long. Effort 3 of GIF: files
 * are 3 % larger than with 7, in half the time.
 */
export async function resizePicture(bytes: Uint8Array, plan: Plan): Promise<Resized> {
  const { width, height, fit, format, quality, frames, maxPixels } = plan;
  const background = format === "jpeg" ? "#ffffffff" : "#ffffff00";
  const picture = sharp(bytes, { limitInputPixels: maxPixels, failOn: "error", pages: frames })
    .timeout({ seconds: maxSeconds })
    .autoOrient()
    .resize({ width, height, fit, background });
  if (format === "jpeg") picture.flatten({ background }).jpeg({ quality });
  else if (format === "webp") picture.webp({ quality });
  else if (format === "avif") picture.avif({ quality, effort: 1 });
  else if (format === "gif") picture.gif({ effort: 3 });
  else picture.png();
  const { data, info } = await picture.toBuffer({ resolveWithObject: true });
  return { data, width: info.width, height: info.pageHeight ?? info.height };
}
