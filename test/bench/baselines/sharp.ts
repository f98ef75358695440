/** The least that resizing costs: a loop over the same pictures, with the same library, on as many threads. */
import { once } from "node:events";
import { join } from "node:path";
import { Worker } from "node:worker_threads";
import { sum } from "../numbers.ts";
import { type Picture, readPictures, type Way } from "../pictures.ts";

export type SharpLoad = {
  readonly seconds: number;
  readonly threads: number;
  /** Folder of the pictures. */
  readonly folder: string;
  readonly way: Way;
};

export type ThreadData = { readonly pictures: readonly Picture[]; readonly folder: string; readonly way: Way };

export type SharpSlice = { readonly imagesPerSecond: number; readonly images: number; readonly cpuSeconds: number };

/** What a thread is sent, and what it says when it is ready and when it is done. */
export type Go = { readonly seconds: number };
export type Done = { readonly images: number; readonly tookMs: number };

/** The threads start together, each does whole rounds of all pictures. */
export async function runSharp({ seconds, threads, folder, way }: SharpLoad): Promise<SharpSlice> {
  const pictures = await readPictures(folder, way);
  const file = join(import.meta.dirname, "sharp-thread.ts");
  const workers = Array.from({ length: threads }, () => {
    return new Worker(file, { workerData: { pictures, folder, way } satisfies ThreadData });
  });
  try {
    await Promise.all(workers.map((worker) => once(worker, "message"))); // ready
    const cpuBefore = process.cpuUsage();
    const answers = workers.map((worker) => once(worker, "message"));
    for (const worker of workers) worker.postMessage({ seconds } satisfies Go);
    const done = (await Promise.all(answers)).map(([said]) => said as Done);
    const { user, system } = process.cpuUsage(cpuBefore);
    return {
      imagesPerSecond: sum(done.map(({ images, tookMs }) => (images / tookMs) * 1000)),
      images: sum(done.map(({ images }) => images)),
      cpuSeconds: (user + system) / 1e6,
    };
  } finally {
    await Promise.all(workers.map((worker) => worker.terminate()));
  }
}
