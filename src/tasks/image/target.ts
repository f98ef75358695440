/** The format of the target: from the input, the suffix of its file, or the source. */
import { extname } from "node:path";
import { ImageFormat } from "../../gen/millpond/tasks/v1/image_pb.ts";
import type { SourceFormat } from "./format.ts";

export type TargetFormat = "jpeg" | "png" | "webp" | "avif" | "gif";

/** The enum values of the formats in the protocol. */
export const enumOf: Readonly<Record<TargetFormat, ImageFormat>> = {
  jpeg: ImageFormat.JPEG,
  png: ImageFormat.PNG,
  webp: ImageFormat.WEBP,
  avif: ImageFormat.AVIF,
  gif: ImageFormat.GIF,
};

const bySuffix: ReadonlyMap<string, TargetFormat> = new Map([
  [".jpg", "jpeg"],
  [".jpeg", "jpeg"],
  [".png", "png"],
  [".webp", "webp"],
  [".avif", "avif"],
  [".gif", "gif"],
]);

type Asked = { readonly format: ImageFormat; readonly outputPath: string };

/** Why the suffix of the target's name is invalid; undefined: it is valid. */
export function faultOfSuffix({ format, outputPath }: Asked): string | undefined {
  const suffix = extname(outputPath).toLowerCase();
  const named = bySuffix.get(suffix);
  if (named === undefined) return `must end in one of ${[...bySuffix.keys()].join(", ")}, after a name`;
  const asked = askedFor(format);
  if (asked === undefined || asked === named) return undefined;
  return `ends in ${suffix}, but format is ${asked.toUpperCase()}: leave format out, or change one of them`;
}

export function targetFormatOf({ format, outputPath }: Asked, source: SourceFormat): TargetFormat {
  const asked = askedFor(format) ?? bySuffix.get(extname(outputPath).toLowerCase());
  return asked ?? (source === "tiff" ? "png" : source);
}

/** Undefined: not specified. */
function askedFor(format: ImageFormat): TargetFormat | undefined {
  return (Object.keys(enumOf) as TargetFormat[]).find((name) => enumOf[name] === format);
}
