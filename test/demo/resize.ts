/** The demo of `image.resize`: a folder of pictures goes over one gRPC stream, and what comes back is shown and checked. */
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { connect, imageResize, type MillpondClient } from "../../clients/typescript/index.ts";
import { duration, size } from "../../src/cli/print/format.ts";
import { showEndings } from "./endings.ts";
import { type DemoJob, inputsOf, planJobs } from "./jobs.ts";
import { makeBrokenPicture, makePictures, type Picture } from "./pictures.ts";
import { startServer } from "./server.ts";
import { createProgress, type Row, say, showRows, showStats } from "./show.ts";
import { startTracing } from "./tracing.ts";
import { type Finished, findFaults } from "./verify.ts";

/** Returns what is wrong; nothing when all is well. What stays behind is the folder `resized`. */
export async function resizePictures(root: string, signal: AbortSignal): Promise<string[]> {
  const folders = { pictures: join(root, "pictures"), resized: join(root, "resized") };
  for (const folder of Object.values(folders)) await mkdir(folder);
  const jobs = await prepare(folders.pictures);
  const tracing = await startTracing(process.env);

  const server = await startServer(root, { tasks: { "image.resize": { root } } }, signal);
  say(`\nA server on ${server.address}, its jobs in an SQLite file, one worker for each core`, "head");
  const client = connect({ address: server.address, client: "demo" });
  const faults: string[] = [];
  try {
    const startedAt = performance.now();
    const finished = await resizeAll(client, jobs, root, signal);
    const tookMs = performance.now() - startedAt;

    say("\nResults", "head");
    showRows(
      jobs.map((job, index) =>
        rowOf(
          job,
          finished.find((done) => done.index === index),
        ),
      ),
    );
    say("\nThe server's own statistics", "head");
    const snapshot = await client.stats();
    showStats(snapshot);
    const listed = await Array.fromAsync(client.listJobs());
    faults.push(...(await findFaults({ jobs, finished, listed, snapshot, folder: folders.resized })));
    faults.push(...(await showEndings(client, root, signal)));
    say(`\nThe resized pictures are in ${folders.resized}; all of it took ${duration(tookMs)}`);
    if (tracing) say(tracing.notice);
  } finally {
    await client.close();
    await tracing?.stop();
    const exitCode = await server.stop();
    if (exitCode !== 0 && !signal.aborted) faults.push(`the server ended with ${exitCode} instead of 0 after SIGTERM`);
  }
  const good = jobs.filter(({ expected }) => !("failure" in expected)).length;
  const verdict = `${good} pictures resized, ${jobs.length - good} refused as they should be`;
  if (faults.length === 0) say(`${verdict}, every accepted job has exactly one result`, "good");
  return faults;
}

async function prepare(folder: string): Promise<DemoJob[]> {
  const pictures = await makePictures(folder);
  const broken = await makeBrokenPicture(folder);
  const megapixels = ({ width, height }: Picture) => (width * height) / 1e6;
  const largest = Math.max(...pictures.map(megapixels));
  const smallest = Math.min(...pictures.map(megapixels));
  const bytes = pictures.reduce((sum, picture) => sum + picture.bytes, 0);
  say(
    `${pictures.length} pictures of ${smallest.toFixed(1)} to ${largest.toFixed(1)} megapixels (JPEG, PNG, WebP; ` +
      `${size(bytes)}), one broken file, and one job that asks for a picture 9000 pixels wide`,
  );
  return planJobs(pictures, broken);
}

/** Streams the jobs in and the results out, and writes the pictures that came back inside their results. */
async function resizeAll(
  client: MillpondClient,
  jobs: readonly DemoJob[],
  root: string,
  signal: AbortSignal,
): Promise<Finished[]> {
  const progress = createProgress(jobs.length);
  const watching = new AbortController();
  const watched = watch(client, progress.stats, watching.signal);
  const finished: Finished[] = [];
  try {
    for await (const done of client.map(imageResize, inputsOf(jobs, root), { signal })) {
      finished.push(done);
      const target = done.result?.output?.target;
      const job = jobs[done.index];
      if (job && target?.case === "bytes") await writeFile(join(root, "resized", job.target), target.value);
      progress.result(target === undefined);
    }
  } finally {
    watching.abort();
    await watched;
    progress.end();
  }
  return finished;
}

async function watch(
  client: MillpondClient,
  show: ReturnType<typeof createProgress>["stats"],
  signal: AbortSignal,
): Promise<void> {
  for await (const snapshot of client.watchStats({ intervalMs: 250, signal })) show(snapshot);
}

function rowOf({ source, ask }: DemoJob, done: Finished | undefined): Row {
  const { result, refusal } = done ?? {};
  const output = result?.output;
  const wanted = ask.width === 9000 ? `, ${ask.width} wide` : "";
  return {
    name: `${source.name}${wanted}`,
    source,
    target: output && { width: output.width, height: output.height, bytes: output.sizeBytes },
    queueWaitMs: result?.queueWaitMs,
    executionMs: result?.executionMs,
    failure: output ? undefined : (result?.failure?.message ?? refusal?.message ?? "no result"),
  };
}
