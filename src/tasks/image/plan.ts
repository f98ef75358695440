/** Decides what to make of a source, and refuses what is too large, before anything is decoded. */
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
  /** What `countParts` found. */
  readonly parts: number;
};

/** What `resizePicture` is to make. Plain data. */
export type Plan = Size & {
  readonly format: TargetFormat;
  /** How a target whose size was given is filled; every other target has the source's proportions already. */
  readonly fit: "cover" | "contain" | "fill";
  /** 1 to 100. */
  readonly quality: number;
  /** Frames that are read and written, from the first on. */
  readonly frames: number;
  /** Pixels that are read, all frames together; a picture with more fails. */
  readonly maxPixels: number;
};

const defaultQuality = 80;

/**
 * Most pixels of a target in a format that is slow to write, all frames together: 16 megapixels of noise take 15 s as
 * AVIF, and half a GiB of memory.
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

/** Animations stay animated when both formats can be: GIF and WebP. Otherwise the first frame is used. */
function framesOf({ format, frames }: Source, target: TargetFormat): number {
  const moves = (format === "gif" || format === "webp") && (target === "gif" || target === "webp");
  if (!moves || frames === 1) return 1;
  if (frames <= maxFrames) return frames;
  throw tooLarge(
    `the source has ${frames} frames and the limit is ${maxFrames}: send fewer, or ask for PNG, JPEG or AVIF, which take the first frame`,
    { frames, limit: maxFrames },
  );
}

const fits: ReadonlyMap<ImageFit, Plan["fit"]> = new Map([
  [ImageFit.COVER, "cover"],
  [ImageFit.CONTAIN, "contain"],
]);
