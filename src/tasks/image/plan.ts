/** Plans the target of a source, and refuses pictures that are too large, before anything is decoded. */
import { ImageFit, type ImageResizeInput } from "../../gen/millpond/tasks/v1/image_pb.ts";
import type { SourceFormat } from "./format.ts";
import type { ImageSettings } from "./settings.ts";
import { assertPixelsFit, assertSidesFit, type Size, targetSize, tooLarge } from "./size.ts";
import { maxFrames } from "./structure.ts";
import { type TargetFormat, targetFormatOf } from "./target.ts";

/** What is known of a picture before it is decoded. */
export type Source = Size & {
  readonly format: SourceFormat;
  /** Frames or pages. */
  readonly frames: number;
  /** The result of `countParts`. */
  readonly parts: number;
};

/** The instructions for `resizePicture`, as plain data. */
export type Plan = Size & {
  readonly format: TargetFormat;
  /** How a target with a given size is filled; other targets have the source's proportions. */
  readonly fit: "cover" | "contain" | "fill";
  /** 1 to 100. */
  readonly quality: number;
  /** Number of frames that are read and written, from the first. */
  readonly frames: number;
  /** Bound on the pixels that are read, over all frames; a picture with more fails. */
  readonly maxPixels: number;
};

const defaultQuality = 80;

/**
 * Bound on the pixels of a target in a format that is slow to encode, over all frames: 16 megapixels of noise take 15 s
 * and half a GiB of memory as AVIF.
 */
const maxSlowPixels = 16_000_000;

export function planOf(input: ImageResizeInput, source: Source, settings: ImageSettings): Plan {
  const format = targetFormatOf(input, source.format);
  const frames = framesOf(source, format);
  const size = targetSize(input, source);
  const { maxPixels } = settings;
  const raise = "or raise tasks.image.resize.maxPixels";
  assertPixelsFit("the source", { ...source, frames }, maxPixels, `send a smaller one, ${raise}`);
  assertSidesFit(size, settings);
  assertPixelsFit("the target", { ...size, frames }, maxPixels, `ask for less, ${raise}`);
  if (format === "avif" || format === "gif") {
    assertPixelsFit(`the ${format.toUpperCase()}`, { ...size, frames }, maxSlowPixels, "ask for less");
  }
  return {
    ...size,
    format,
    fit: fits.get(input.fit) ?? "fill",
    quality: input.quality === 0 ? defaultQuality : input.quality,
    frames,
    maxPixels,
  };
}

/** Animations stay animated if both formats support it: GIF and WebP. Otherwise the first frame is used. */
function framesOf({ format, frames }: Source, target: TargetFormat): number {
  const isAnimated = (format === "gif" || format === "webp") && (target === "gif" || target === "webp");
  if (!isAnimated || frames === 1) return 1;
  if (frames <= maxFrames) return frames;
  throw tooLarge(
    `the source has ${frames} frames and the limit is ${maxFrames}: send fewer, or request PNG, JPEG or AVIF, which use the first frame`,
    { frames, limit: maxFrames },
  );
}

const fits: ReadonlyMap<ImageFit, Plan["fit"]> = new Map([
  [ImageFit.COVER, "cover"],
  [ImageFit.CONTAIN, "contain"],
]);
