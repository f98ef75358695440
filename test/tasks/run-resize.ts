/** Runs `image.resize` without a server: real settings, a context that records. */
import { readFile } from "node:fs/promises";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import sharp from "sharp";
import {
  type ImageResizeInput,
  ImageResizeInputSchema,
  type ImageResizeOutput,
  ImageResizeOutputSchema,
} from "../../src/gen/millpond/tasks/v1/image_pb.ts";
import type { NoResources } from "../../src/pool/resource.ts";
import type { TaskContext } from "../../src/pool/task.ts";
import { type ImageSettings, readSettings } from "../../src/tasks/image/settings.ts";
import imageResize from "../../src/tasks/image-resize.ts";

export type Input = MessageInitShape<typeof ImageResizeInputSchema>;

type Source = NonNullable<Input["source"]>;

export const bytes = (value: Uint8Array): Source => ({ case: "bytes", value });
export const path = (value: string): Source => ({ case: "path", value });

export const jobId = "0198a3b4-0000-7000-8000-000000000001";

export function fakeContext<S>(
  settings: S,
  signal: AbortSignal = new AbortController().signal,
  attempt = 1,
): TaskContext<S, NoResources> {
  const silent = () => undefined;
  return {
    settings,
    resources: {},
    jobId,
    attempt,
    deadlineAt: Number.POSITIVE_INFINITY,
    signal,
    throwIfCancelled: () => signal.throwIfAborted(),
    progress: silent,
    span: (_name, code) => code(),
    trace: { traceparent: `00-${"1".repeat(32)}-${"2".repeat(16)}-00` },
    log: { debug: silent, info: silent, warn: silent, error: silent },
  };
}

export function inputOf(input: Input): ImageResizeInput {
  return create(ImageResizeInputSchema, input);
}

/** Settings as the configuration gives them: `{ root, maxWidth, maxPixels }`, each optional. */
export async function resize(
  input: Input,
  given: { readonly [key: string]: unknown } = {},
  { signal, attempt }: { readonly signal?: AbortSignal; readonly attempt?: number } = {},
): Promise<ImageResizeOutput> {
  const settings: ImageSettings = readSettings(given);
  return create(ImageResizeOutputSchema, await imageResize.run(inputOf(input), fakeContext(settings, signal, attempt)));
}

export function bytesOf({ target }: ImageResizeOutput): Uint8Array {
  if (target.case !== "bytes") throw new Error(`the target is a ${target.case}`);
  return target.value;
}

/** A photograph of 600 × 400 pixels, JPEG. */
export function photo(): Promise<Buffer> {
  return readFile(new URL("../demo/pictures/coffee.jpg", import.meta.url));
}

/** The photograph in another format. */
export async function photoAs(format: "png" | "webp" | "avif" | "gif" | "tiff"): Promise<Buffer> {
  return sharp(await photo())
    .toFormat(format)
    .toBuffer();
}
