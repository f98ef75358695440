/** What the demo asks for: one job for each picture, and one that asks for too much. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { imageResize, InputOf } from "../../clients/typescript/index.ts";
import { ImageFit, ImageFormat } from "../../src/gen/millpond/tasks/v1/image_pb.ts";
import type { Picture } from "./pictures.ts";

export type Input = InputOf<typeof imageResize>;

export type DemoJob = {
  readonly source: Picture;
  readonly ask: Input;
  /** Name of the file that is written when all goes well. */
  readonly target: string;
  readonly expected: { readonly width: number; readonly height: number } | { readonly failure: string };
};

/** Inputs up to this size travel inside the job: the server takes one mebibyte by default. */
const maxInlineBytes = 1_000_000;

/** Three kinds of work in turn: scale down, make a square thumbnail in WebP, make a preview in JPEG. */
export function planJobs(pictures: readonly Picture[], broken: Picture): DemoJob[] {
  const good = pictures.map((source, at) => plan(source, at % 3));
  const largest = pictures.reduce((a, b) => (a.width * a.height >= b.width * b.height ? a : b));
  const tooWide = {
    source: largest,
    ask: { width: 9000 },
    target: "too-wide.jpg",
    expected: { failure: "image_too_large" },
  };
  const damaged = {
    source: broken,
    ask: { width: 800 },
    target: "broken-small.jpg",
    expected: { failure: "image_broken" },
  };
  return [...good.slice(0, 8), damaged, ...good.slice(8, 16), tooWide, ...good.slice(16)];
}

/**
 * The inputs of jobs, each made when its turn comes, so that not all pictures are in memory at once. A large picture
 * stays where it is and its job names the file; that works where client and server see the same folder.
 */
export async function* inputsOf(jobs: readonly DemoJob[], root: string): AsyncGenerator<Input> {
  for (const { source, ask, target } of jobs) {
    const path = `pictures/${source.name}`;
    if (source.bytes <= maxInlineBytes) {
      yield { ...ask, source: { case: "bytes", value: await readFile(join(root, path)) } };
    } else {
      yield { ...ask, source: { case: "path", value: path }, outputPath: `resized/${target}` };
    }
  }
}

function plan(source: Picture, kind: number): DemoJob {
  const [stem, extension] = source.name.split(/\.(?=[a-z]+$)/) as [string, string];
  if (kind === 0) {
    const width = Math.min(800, source.width);
    const height = Math.round((source.height * width) / source.width);
    return { source, ask: { width: 800 }, target: `${stem}-small.${extension}`, expected: { width, height } };
  }
  if (kind === 1) {
    const expected = { width: 320, height: 320 };
    const ask = { ...expected, fit: ImageFit.COVER, format: ImageFormat.WEBP };
    return { source, ask, target: `${stem}-square.webp`, expected };
  }
  const height = Math.min(480, source.height);
  const width = Math.round((source.width * height) / source.height);
  const ask = { height: 480, format: ImageFormat.JPEG, quality: 70 };
  return { source, ask, target: `${stem}-preview.jpg`, expected: { width, height } };
}
