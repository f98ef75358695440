/**
 * `image.resize`: resizes a picture. Documented in docs/tasks/image.resize.md.
 *
 * The format is recognised by content and the size read from the header, so that a picture that is too large is refused
 * before it is decoded. Quick work is done in the worker thread, slow work in a child process, which can be killed.
 * Safe to repeat: the same input gives the same output, and a file gets its name atomically.
 */
import { systemClock } from "../clock.ts";
import { messageOf } from "../errors.ts";
import {
  type ImageResizeInput,
  ImageResizeInputSchema,
  ImageResizeOutputSchema,
} from "../gen/millpond/tasks/v1/image_pb.ts";
import { defineTask, permanent, type TaskContext, TaskError } from "../pool/task.ts";
import type { FileId } from "./image/below.ts";
import { checkInput } from "./image/check.ts";
import { resizeInChild } from "./image/child-process.ts";
import { isQuick, maxSeconds, timedOut } from "./image/cost.ts";
import { assertWritable, readBelow, type TargetFile, writeBelow, type Writer } from "./image/files.ts";
import { formatOf, unsupported } from "./image/format.ts";
import type * as picture from "./image/picture.ts";
import { planOf, type Source } from "./image/plan.ts";
import { type ImageSettings, readSettings } from "./image/settings.ts";
import { assertSidesFit } from "./image/size.ts";
import { countParts, pngFrames } from "./image/structure.ts";
import { enumOf } from "./image/target.ts";

/** Largest encoded source that is read from a file. Sources in the job itself are bounded by `limits.inputBytes`. */
const maxSourceBytes = 256 * 1024 * 1024;
/** Largest encoded target that is returned in the result: it must fit into a gRPC message of 4 MiB. */
const maxInlineBytes = 3 * 1024 * 1024;

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
    const startedMs = systemClock.monotonicMs();
    assertSidesFit({ width: input.width, height: input.height }, settings);
    const { bytes, id } = readSource(input, ctx);
    const target = targetFileOf(input, settings, id);
    if (target) assertWritable(target);
    const { hasSteps, readHeader, resizePicture } = await import("./image/picture.ts"); // loading it takes a third of a thread's start
    const source = await decoding(startedMs, () => ctx.span("inspect", () => inspect(bytes, readHeader)));
    const plan = planOf(input, source, settings);
    ctx.throwIfCancelled();
    ctx.progress(0.2, `${source.width}x${source.height} to ${plan.width}x${plan.height}`);
    const resized = await decoding(startedMs, () =>
      inSpan(ctx, "resize", (isExported) => {
        const step = isExported && hasSteps(plan) ? ctx.span : undefined;
        if (isQuick(source, plan)) return resizePicture(bytes, plan, step);
        const timeoutMs = maxSeconds * 1000 - (systemClock.monotonicMs() - startedMs);
        return resizeInChild(bytes, plan, { signal: ctx.signal, timeoutMs }, step);
      }),
    );
    ctx.throwIfCancelled();
    return {
      target: target ? ctx.span("write", () => write(target, resized.data, ctx)) : inline(resized.data),
      width: resized.width,
      height: resized.height,
      format: enumOf[plan.format],
      sizeBytes: resized.data.byteLength,
      sourceWidth: source.width,
      sourceHeight: source.height,
      frames: plan.frames,
      sourceFrames: source.frames,
    };
  },
});

type Context = TaskContext<ImageSettings>;

function readSource({ source }: ImageResizeInput, ctx: Context): { bytes: Uint8Array; id?: FileId } {
  if (source.case === "bytes") return { bytes: source.value };
  return ctx.span("read", () => readBelow(rootOf(ctx.settings), source.value ?? "", maxSourceBytes));
}

/** Runs `code` in a span. `isExported`: the span is exported, because the trace is sampled and the span was not dropped. */
function inSpan<T>(ctx: Context, name: string, code: (isExported: boolean) => T): T {
  const above = ctx.trace.traceparent;
  const isSampled = (Number.parseInt(above.slice(53, 55), 16) & 1) === 1; // W3C Trace Context, trace-flags
  return ctx.span(name, () => code(isSampled && ctx.trace.traceparent !== above));
}

/** Inspects the picture's header and parts without decoding it. */
async function inspect(bytes: Uint8Array, readHeader: typeof picture.readHeader): Promise<Source> {
  const format = formatOf(bytes);
  if (format === undefined) throw unsupported(bytes);
  const parts = countParts(bytes, format);
  const header = await readHeader(bytes);
  return { ...header, format, parts, frames: format === "png" ? pngFrames(bytes) : header.frames };
}

function targetFileOf(
  { outputPath, overwrite }: ImageResizeInput,
  settings: ImageSettings,
  source: FileId | undefined,
): TargetFile | undefined {
  return outputPath === "" ? undefined : { root: rootOf(settings), path: outputPath, overwrite, source };
}

function write(target: TargetFile, data: Uint8Array, writer: Writer) {
  writeBelow(target, data, writer);
  return { case: "path", value: target.path } as const;
}

function inline(data: Uint8Array) {
  if (data.byteLength <= maxInlineBytes) return { case: "bytes", value: data } as const;
  throw permanent(
    "output_too_large",
    `the target has ${data.byteLength} bytes and a result carries at most ${maxInlineBytes}: set outputPath, or request a smaller one`,
    { bytes: data.byteLength, limit: maxInlineBytes },
  );
}

/** Runs work on a picture: any error means that the picture is broken, or that it took too long. */
async function decoding<T>(startedMs: number, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof TaskError) throw error;
    if (systemClock.monotonicMs() - startedMs >= maxSeconds * 1000) throw timedOut();
    throw permanent("image_broken", `the picture cannot be decoded: ${messageOf(error).split("\n", 1).join()}`);
  }
}

/** The folder for files. Submit refuses paths without one, but the settings may have changed since. */
function rootOf({ root }: ImageSettings): string {
  if (root === undefined) throw permanent("no_root", "files are not served: set tasks.image.resize.root");
  return root;
}
