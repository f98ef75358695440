/** Pictures go in and come back, as files or as bytes, a bounded number at a time. */
import { connect, imageResize, type InputOf } from "../../../clients/typescript/index.ts";
import { ImageFormat } from "../../../src/gen/millpond/tasks/v1/image_pb.ts";
import { type Picture, readPictures, targets, targetWidths, type Way } from "../pictures.ts";

export type ImagesLoad = {
  readonly address: string;
  readonly seconds: number;
  /** Folder of the pictures, which is the server's root. */
  readonly folder: string;
  readonly way: Way;
  /** Pictures submitted and not taken back. */
  readonly imagesInFlight: number;
};

export type ImagesSlice = {
  readonly submitted: number;
  readonly results: number;
  readonly failed: number;
  readonly imagesPerSecond: number;
  readonly cpuSeconds: number;
};

/** Sends whole rounds of all pictures until the time is over, and waits for the last of them. */
export async function runImages({ address, seconds, folder, way, imagesInFlight }: ImagesLoad): Promise<ImagesSlice> {
  const client = connect({ address, keepaliveMs: 0 });
  const pictures = await readPictures(folder, way);
  const cpuBefore = process.cpuUsage();
  const startedAt = performance.now();
  const counts = { submitted: 0, results: 0, failed: 0 };
  const inputs = function* (): Generator<InputOf<typeof imageResize>> {
    while (performance.now() - startedAt < seconds * 1000) {
      for (const picture of pictures) {
        counts.submitted += 1;
        yield toInput(picture, way, counts.submitted % imagesInFlight);
      }
    }
  };
  try {
    for await (const { result } of client.map(imageResize, inputs(), { concurrency: imagesInFlight })) {
      counts.results += 1;
      if (result?.state !== "SUCCEEDED" || result.output.width > targetWidths[way]) counts.failed += 1;
    }
    const { user, system } = process.cpuUsage(cpuBefore);
    const imagesPerSecond = (counts.results / (performance.now() - startedAt)) * 1000;
    return { ...counts, imagesPerSecond, cpuSeconds: (user + system) / 1e6 };
  } finally {
    await client.close();
  }
}

/** Targets of the same place never overlap: no more jobs are under way than there are places. */
function toInput({ name, bytes }: Picture, way: Way, place: number): InputOf<typeof imageResize> {
  const target = { width: targetWidths[way], format: ImageFormat.JPEG };
  if (way === "bytes") return { source: { case: "bytes", value: bytes }, ...target };
  return { source: { case: "path", value: name }, outputPath: `${targets}/${place}.jpg`, overwrite: true, ...target };
}
