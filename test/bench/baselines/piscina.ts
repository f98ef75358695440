/** The least that running jobs on threads costs: piscina alone, with chunks of jobs that do nothing. */
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { Piscina } from "piscina";

export type PiscinaLoad = { readonly seconds: number };

const jobsPerChunk = 32;
/** Chunks for each thread: one that runs and one that waits. */
const chunksPerThread = 2;

/** Resolves with jobs per second. */
export async function runPiscina({ seconds }: PiscinaLoad): Promise<number> {
  const maxThreads = availableParallelism();
  const filename = join(import.meta.dirname, "piscina-thread.ts");
  const pool = new Piscina({ filename, minThreads: maxThreads, maxThreads, recordTiming: false });
  const chunk = Array.from({ length: jobsPerChunk }, (_, index) => index);
  try {
    await Promise.all(Array.from({ length: maxThreads * chunksPerThread }, () => pool.run(chunk)));
    let done = 0;
    const startedAt = performance.now();
    const endsAt = startedAt + seconds * 1000;
    const line = async () => {
      while (performance.now() < endsAt) done += ((await pool.run(chunk)) as readonly unknown[]).length;
    };
    await Promise.all(Array.from({ length: maxThreads * chunksPerThread }, line));
    return (done / (performance.now() - startedAt)) * 1000;
  } finally {
    await pool.destroy();
  }
}
