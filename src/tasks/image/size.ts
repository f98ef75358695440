/** The size of a target, and limits on sizes. */
import { ImageFit, type ImageResizeInput } from "../../gen/millpond/tasks/v1/image_pb.ts";
import { permanent, type TaskError } from "../../pool/task.ts";
import { type ImageSettings, maxSide } from "./settings.ts";

/** In pixels. */
export type Size = { readonly width: number; readonly height: number };

/** The size of the target. For INSIDE, or if only one side is given, it is computed from the source's proportions. */
export function targetSize({ fit, width, height }: ImageResizeInput, source: Size): Size {
  const isInside = fit === ImageFit.UNSPECIFIED || fit === ImageFit.INSIDE;
  if (width > 0 && height > 0 && !isInside) return { width, height };
  const scale = Math.min(
    width > 0 ? width / source.width : Number.POSITIVE_INFINITY,
    height > 0 ? height / source.height : Number.POSITIVE_INFINITY,
    isInside ? 1 : Number.POSITIVE_INFINITY,
  );
  const scaled = (side: number) => Math.max(1, Math.round(side * scale));
  return { width: scaled(source.width), height: scaled(source.height) };
}

/** Fails permanently if a target is too wide or too high. A side of 0 is not known yet. */
export function assertSidesFit({ width, height }: Size, { maxWidth }: ImageSettings): void {
  if (width > maxWidth) {
    throw tooLarge(
      `the target is ${width} pixels wide and the limit is ${maxWidth}: ask for less, or raise tasks.image.resize.maxWidth`,
      { width, limit: maxWidth },
    );
  }
  if (height > maxSide) {
    throw tooLarge(`the target is ${height} pixels high and the limit is ${maxSide}: ask for less`, {
      height,
      limit: maxSide,
    });
  }
}

/** Fails permanently if a picture has more pixels than allowed, over all frames. */
export function assertPixelsFit(
  what: string,
  { width, height, frames }: Size & { readonly frames: number },
  limit: number,
  remedy: string,
): void {
  const pixels = width * height * frames;
  if (pixels <= limit) return;
  const shape = frames === 1 ? `${width} × ${height}` : `${frames} frames of ${width} × ${height}`;
  const first = frames === 1 ? "" : ", or use PNG, JPEG or AVIF, which take only the first frame";
  throw tooLarge(`${what} has ${pixels} pixels (${shape}) and the limit is ${limit}: ${remedy}${first}`, {
    pixels,
    limit,
  });
}

export function tooLarge(message: string, details: { [key: string]: number }): TaskError {
  return permanent("image_too_large", message, details);
}
