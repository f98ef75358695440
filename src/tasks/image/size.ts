/** How large a target becomes, and how large pictures may be. */
import { ImageFit, type ImageResizeInput } from "../../gen/millpond/tasks/v1/image_pb.ts";
import { permanent } from "../../pool/task.ts";
import { type ImageSettings, maxSide } from "./settings.ts";

/** In pixels. */
export type Size = { readonly width: number; readonly height: number };

/** The size of the target, which for INSIDE, or when only one side is given, follows from the source's proportions. */
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

/** Fails for good when a source has more pixels than the settings allow, before they are unpacked. */
export function assertSourceFits({ width, height }: Size, { maxPixels }: ImageSettings): void {
  const pixels = width * height;
  if (pixels <= maxPixels) return;
  throw permanent(
    "image_too_large",
    `the source has ${pixels} pixels (${width} × ${height}) and the limit is ${maxPixels}: ` +
      "send a smaller one, or raise tasks.image.resize.maxPixels",
    { pixels, limit: maxPixels },
  );
}

/** Fails for good when a target is too large. A side of 0 is one that is not known yet. */
export function assertTargetFits({ width, height }: Size, { maxWidth, maxPixels }: ImageSettings): void {
  if (width > maxWidth) {
    throw permanent(
      "image_too_large",
      `the target is ${width} pixels wide and the limit is ${maxWidth}: ask for less, or raise tasks.image.resize.maxWidth`,
      { width, limit: maxWidth },
    );
  }
  if (height > maxSide) {
    throw permanent(
      "image_too_large",
      `the target is ${height} pixels high and the limit is ${maxSide}: ask for less`,
      {
        height,
        limit: maxSide,
      },
    );
  }
  const pixels = width * height;
  if (pixels > maxPixels) {
    throw permanent(
      "image_too_large",
      `the target has ${pixels} pixels and the limit is ${maxPixels}: ask for less, or raise tasks.image.resize.maxPixels`,
      { pixels, limit: maxPixels },
    );
  }
}
