/**
 * `image.resize`: a smaller picture from a larger one.
 *
 * Reads JPEG, PNG, WebP, AVIF, GIF and TIFF, recognised by content; of several frames, the first. The picture is turned
 * upright by its EXIF orientation, converted to sRGB, and written without metadata. INSIDE never enlarges; COVER,
 * CONTAIN and FILL give exactly the target, and enlarge where they must. With one side given the other one follows, in
 * proportion. GIF and TIFF are not written: without a `format` they become PNG, which ignores `quality`.
 * Borders and transparency become white where the format (JPEG) has no transparency.
 *
 * Safe to repeat: the same input gives the same output, and a file is replaced in one step.
 */
import sharp from "sharp";
import { systemClock } from "../clock.ts";
import { messageOf } from "../errors.ts";
import {
  ImageFit,
  ImageFormat,
  type ImageResizeInput,
  ImageResizeInputSchema,
  ImageResizeOutputSchema,
} from "../gen/millpond/tasks/v1/image_pb.ts";
import { defineTask, permanent, TaskError } from "../pool/task.ts";
import { checkInput } from "./image/check.ts";
import { readBelow, writeBelow } from "./image/files.ts";
import { formatOf, type SourceFormat } from "./image/format.ts";
import { type ImageSettings, readSettings } from "./image/settings.ts";
import { assertSourceFits, assertTargetFits, type Size, targetSize } from "./image/size.ts";

/** Largest encoded source that is read from a file. Sources within a job are bounded by `limits.inputBytes`. */
const maxSourceBytes = 256 * 1024 * 1024;
/** Largest encoded target that is returned in the result: it has to fit in a gRPC message of 4 MiB. */
const maxInlineBytes = 3 * 1024 * 1024;
/** Longest time that decoding, scaling and encoding may take. */
const maxSeconds = 60;

// Parallel are the workers, not the steps within one picture; and no picture comes twice, so nothing is worth keeping.
sharp.concurrency(1);
sharp.cache(false);
// The content was recognised before it gets here; should libvips disagree, these must still never see it.
sharp.block({
  operation: ["VipsForeignLoadSvg", "VipsForeignLoadPdf", "VipsForeignLoadMagick", "VipsForeignLoadVips"],
});

export default defineTask({
  name: "image.resize",
  pool: "cpu",
  description: "Resizes a picture (JPEG, PNG, WebP, AVIF, GIF, TIFF) and returns it or writes it to a file.",
  input: ImageResizeInputSchema,
  output: ImageResizeOutputSchema,
  settings: readSettings,
  check: checkInput,
  async run(input, ctx) {
    const { settings } = ctx;
    assertTargetFits({ width: input.width, height: input.height }, settings);
    const bytes = readSource(input, settings);
    const source = await inspect(bytes);
    assertSourceFits(source, settings);
    const target = targetSize(input, source);
    assertTargetFits(target, settings);
    ctx.throwIfCancelled();
    ctx.progress(0.2, `${source.width}x${source.height} to ${target.width}x${target.height}`);
    const format = input.format === ImageFormat.UNSPECIFIED ? targetFormats[source.format] : input.format;
    const { data, info } = await decoding(() => resize(bytes, input, target, format, settings));
    ctx.throwIfCancelled();
    return {
      target: deliver(data, input, settings, `${ctx.jobId}-${ctx.attempt}`),
      width: info.width,
      height: info.height,
      format,
      sizeBytes: data.byteLength,
      sourceWidth: source.width,
      sourceHeight: source.height,
    };
  },
});

function readSource(input: ImageResizeInput, settings: ImageSettings): Uint8Array {
  const { source } = input;
  if (source.case === "bytes") return source.value;
  return readBelow(rootOf(settings), source.value ?? "", maxSourceBytes);
}

/** Reads the header only, so a bomb does not go off here. */
async function inspect(bytes: Uint8Array): Promise<Size & { readonly format: SourceFormat }> {
  const format = formatOf(bytes);
  if (format === undefined) {
    throw permanent("unsupported_format", "the source is none of JPEG, PNG, WebP, AVIF, GIF and TIFF");
  }
  const header = await decoding(() => sharp(bytes, { limitInputPixels: false }).metadata());
  return { ...header.autoOrient, format };
}

async function resize(
  bytes: Uint8Array,
  { fit, quality }: ImageResizeInput,
  target: Size,
  format: ImageFormat,
  settings: ImageSettings,
): Promise<{ data: Uint8Array; info: Size }> {
  const background = format === ImageFormat.JPEG ? "#ffffffff" : "#ffffff00";
  const options = { quality: quality === 0 ? 80 : quality };
  const picture = sharp(bytes, { limitInputPixels: settings.maxPixels, failOn: "error" })
    .timeout({ seconds: maxSeconds })
    .autoOrient()
    .resize({ ...target, fit: sharpFits.get(fit) ?? "fill", background });
  if (format === ImageFormat.JPEG) picture.flatten({ background }).jpeg(options);
  else if (format === ImageFormat.WEBP) picture.webp(options);
  else if (format === ImageFormat.AVIF) picture.avif(options);
  else picture.png();
  return picture.toBuffer({ resolveWithObject: true });
}

/** The target as the output carries it: the bytes themselves, or the path of the file they were written to. */
function deliver(data: Uint8Array, { outputPath }: ImageResizeInput, settings: ImageSettings, writer: string) {
  if (outputPath !== "") {
    writeBelow(rootOf(settings), outputPath, data, writer);
    return { case: "path", value: outputPath } as const;
  }
  if (data.byteLength > maxInlineBytes) {
    throw permanent(
      "output_too_large",
      `the target has ${data.byteLength} bytes and a result carries at most ${maxInlineBytes}: set outputPath, or ask for less`,
      { bytes: data.byteLength, limit: maxInlineBytes },
    );
  }
  return { case: "bytes", value: data } as const;
}

/** Runs what works on a picture; whatever goes wrong in there comes from the picture, or took too long. */
async function decoding<T>(work: () => Promise<T>): Promise<T> {
  const startedAt = systemClock.monotonicMs();
  try {
    return await work();
  } catch (error) {
    if (systemClock.monotonicMs() - startedAt >= maxSeconds * 1000) {
      throw new TaskError("resize_timed_out", `the picture took longer than ${maxSeconds} s`, { cause: error });
    }
    throw permanent("image_broken", `the picture cannot be decoded: ${messageOf(error).split("\n", 1).join()}`);
  }
}

/** The folder for files. Submit refuses paths without one, but the job may be older than the settings. */
function rootOf({ root }: ImageSettings): string {
  if (root === undefined) throw permanent("no_root", "files are not served: set tasks.image.resize.root");
  return root;
}

/** How sharp fills a target whose size was given; every other target has the source's proportions already. */
const sharpFits: ReadonlyMap<ImageFit, "cover" | "contain"> = new Map([
  [ImageFit.COVER, "cover"],
  [ImageFit.CONTAIN, "contain"],
]);

const targetFormats: Readonly<Record<SourceFormat, ImageFormat>> = {
  jpeg: ImageFormat.JPEG,
  png: ImageFormat.PNG,
  webp: ImageFormat.WEBP,
  avif: ImageFormat.AVIF,
  gif: ImageFormat.PNG,
  tiff: ImageFormat.PNG,
};
