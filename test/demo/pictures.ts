/** Makes the folder of pictures that the demo resizes, from the photographs beside this file. */
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import sharp, { type Sharp } from "sharp";

/** A picture that was made. */
export type Picture = {
  readonly name: string;
  readonly width: number;
  readonly height: number;
  readonly bytes: number;
};

type Plan = { readonly photo: string; readonly megapixels: number; readonly format: "jpg" | "png" | "webp" };

/** Many JPEGs, some of them large, and smaller PNGs and WebPs. No photograph comes twice in the same size. */
const plans: readonly Plan[] = [
  ...photos("jpg", {
    hubble: [12, 0.8],
    retina: [8, 2],
    astronaut: [5, 0.3],
    rocket: [3, 0.3],
    coffee: [6, 0.2],
    cat: [4, 0.1],
  }),
  ...photos("png", { hubble: [0.5], retina: [1.5], astronaut: [0.4], rocket: [2], coffee: [1], cat: [0.2] }),
  ...photos("webp", { hubble: [1], retina: [0.8], astronaut: [2], rocket: [0.5], coffee: [2.5], cat: [0.6] }),
];

/** Writes 24 pictures into `folder`, JPEG, PNG and WebP of 0.1 to 12 megapixels, in about two seconds. */
export async function makePictures(folder: string): Promise<Picture[]> {
  const pictures: Picture[] = [];
  for (const plan of plans) pictures.push(await make(folder, plan));
  return pictures;
}

/** Writes a JPEG that a bad disk and a broken download had a hand in: bytes in it are wrong, and its end is missing. */
export async function makeBrokenPicture(folder: string): Promise<Picture> {
  const name = "broken.jpg";
  const whole = await readFile(photoFile("coffee"));
  const broken = whole.subarray(0, whole.length / 2);
  broken.fill(0x5a, broken.length - 2000, broken.length - 1000);
  await writeFile(join(folder, name), broken);
  const { width, height } = await sharp(whole).metadata();
  return { name, width, height, bytes: broken.length };
}

/** Scales a photograph to so many megapixels, and cuts every one to the shape of a camera's picture. */
async function make(folder: string, { photo, megapixels, format }: Plan): Promise<Picture> {
  const name = `${photo}-${megapixels}mp.${format}`;
  const width = Math.ceil(Math.sqrt((megapixels * 1_000_000 * 3) / 2));
  const height = Math.ceil((width * 2) / 3);
  const scaled = sharp(photoFile(photo)).resize({ width, height, fit: "cover", kernel: "linear" });
  const { size: bytes } = await encode(scaled, format).toFile(join(folder, name));
  return { name, width, height, bytes };
}

function encode(picture: Sharp, format: Plan["format"]): Sharp {
  if (format === "png") return picture.png({ compressionLevel: 1 });
  if (format === "webp") return picture.webp({ quality: 85, effort: 0 });
  return picture.jpeg({ quality: 88 });
}

function photos(format: Plan["format"], megapixels: { readonly [photo: string]: readonly number[] }): Plan[] {
  return Object.entries(megapixels).flatMap(([photo, sizes]) =>
    sizes.map((size) => ({ photo, megapixels: size, format })),
  );
}

function photoFile(photo: string): string {
  return join(import.meta.dirname, "pictures", `${photo}.jpg`);
}
