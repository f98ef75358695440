/**
 * The pictures of the bench, made from the demo's photographs. As files: one of 12 megapixels from each photograph, as
 * cameras make them, to a width of 1600 pixels. As bytes: the demo's own mixture of sizes and formats, as far as it
 * fits in a job, to 800 pixels.
 */
import { mkdir, readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import sharp from "sharp";
import { makePictures } from "../demo/pictures.ts";

export type Picture = { readonly name: string; readonly bytes: Uint8Array };

/** How pictures come and go: as files below a root, or within jobs and results. */
export type Way = "files" | "bytes";

/** In pixels; narrower pictures are not enlarged. */
export const targetWidths: Readonly<Record<Way, number>> = { files: 1600, bytes: 800 };

/** Below the pictures' folder: where targets are written. */
export const targets = "resized";

const photographs = join(import.meta.dirname, "..", "demo", "pictures");
const camera = { width: 4243, height: 2829 };
/** Larger ones do not fit in a job, whose input has a bound of one mebibyte by default. */
const maxBytes = 1_000_000;

/** Makes all pictures below the folder. */
export async function preparePictures(folder: string): Promise<void> {
  for (const name of ["files", "bytes", targets]) await mkdir(join(folder, name));
  await makePictures(join(folder, "bytes"));
  for (const name of (await readdir(photographs)).filter((file) => file.endsWith(".jpg"))) {
    const scaled = sharp(join(photographs, name)).resize({ ...camera, fit: "cover", kernel: "linear" });
    await scaled.jpeg({ quality: 88 }).toFile(join(folder, "files", name));
  }
}

/** The pictures that go this way, their names relative to the folder. */
export async function readPictures(folder: string, way: Way): Promise<Picture[]> {
  const names = (await readdir(join(folder, way))).sort().map((name) => join(way, name));
  const pictures = await Promise.all(names.map(async (name) => ({ name, bytes: await readFile(join(folder, name)) })));
  return pictures.filter(({ bytes }) => way === "files" || bytes.byteLength <= maxBytes);
}
