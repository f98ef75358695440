/** Looks for anything that did not go as promised, without trusting the code that it went through. */
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import sharp from "sharp";
import type { Done, imageResize, JobInfo, OutputOf, ServerSnapshot } from "../../clients/typescript/index.ts";
import type { DemoJob, Input } from "./jobs.ts";

export type Finished = Done<Input, OutputOf<typeof imageResize>>;

export type Evidence = {
  readonly jobs: readonly DemoJob[];
  /** What arrived. */
  readonly finished: readonly Finished[];
  /** What the server says it holds, and what it counted. */
  readonly listed: readonly JobInfo[];
  readonly snapshot: ServerSnapshot;
  /** Where the pictures were written. */
  readonly folder: string;
};

/** What is wrong, one sentence each; empty when every promise was kept. */
export async function findFaults({ jobs, finished, listed, snapshot, folder }: Evidence): Promise<string[]> {
  const faults = [
    ...countFaults(jobs, finished),
    ...listFaults(finished, listed),
    ...snapshotFaults(finished, snapshot),
  ];
  const wanted = jobs.filter(({ expected }) => !("failure" in expected)).length;
  const written = (await readdir(folder)).length;
  if (written !== wanted) faults.push(`${folder} holds ${written} files and should hold ${wanted}`);
  for (const [index, job] of jobs.entries()) {
    const done = finished.find((one) => one.index === index);
    const fault = done && (await faultOf(job, done, folder));
    if (fault !== undefined) faults.push(`${job.source.name}: ${fault}`);
  }
  return faults;
}

/** Exactly one result for each accepted job: no input is missing or double, and the channel has no gap. */
function countFaults(jobs: readonly DemoJob[], finished: readonly Finished[]): string[] {
  const faults: string[] = [];
  for (const [index, { source }] of jobs.entries()) {
    const count = finished.filter((one) => one.index === index).length;
    if (count !== 1) faults.push(`${source.name}: has ${count} results instead of one`);
  }
  const results = finished.flatMap(({ result }) => result ?? []);
  const ids = new Set(results.map(({ jobId }) => jobId));
  if (ids.size !== results.length) faults.push(`${results.length} results belong to only ${ids.size} jobs`);
  const cursors = results.map(({ cursor }) => cursor).toSorted((a, b) => a - b);
  if (cursors.some((cursor, at) => cursor !== at + 1)) {
    faults.push(`the results' positions are not 1 to ${results.length}: ${cursors.join(", ")}`);
  }
  return faults;
}

/** Every job that the server has accepted is one whose result arrived, and the other way round. */
function listFaults(finished: readonly Finished[], listed: readonly JobInfo[]): string[] {
  const arrived = new Map(finished.map(({ result }) => [result?.jobId, result?.state]));
  arrived.delete(undefined);
  const faults = listed
    .filter(({ id, state }) => arrived.get(id) !== state)
    .map(({ id, state }) => `job ${id} is ${state} and its result here is ${arrived.get(id) ?? "missing"}`);
  if (listed.length !== arrived.size)
    faults.push(`the server lists ${listed.length} jobs and ${arrived.size} have a result`);
  return faults;
}

/** The server's books must agree with what arrived here. */
function snapshotFaults(finished: readonly Finished[], { client, pools }: ServerSnapshot): string[] {
  const sum = (count: (pool: (typeof pools)[number]) => number) =>
    pools.reduce((total, pool) => total + count(pool), 0);
  const results = finished.filter(({ result }) => result !== undefined).length;
  const faults: string[] = [];
  const compare = (what: string, counted: number, expected: number) => {
    if (counted !== expected) faults.push(`the server counts ${counted} ${what} and it should be ${expected}`);
  };
  compare("accepted jobs", client.accepted, results);
  compare(
    "final jobs",
    sum(({ succeeded, dead, cancelled }) => succeeded + dead + cancelled),
    results,
  );
  compare(
    "jobs that still wait or run",
    sum(({ queued, running }) => queued + running),
    0,
  );
  return faults;
}

async function faultOf(job: DemoJob, { result, refusal }: Finished, folder: string): Promise<string | undefined> {
  if (refusal) return `was refused: ${refusal.message}`;
  if ("failure" in job.expected) {
    const reason = result.failure?.reason;
    return reason === job.expected.failure
      ? undefined
      : `ended with ${reason ?? "success"}, not ${job.expected.failure}`;
  }
  if (result.state !== "SUCCEEDED") return result.failure.message;
  const { width, height } = job.expected;
  try {
    const { info } = await sharp(await readFile(join(folder, job.target)), { failOn: "warning" })
      .raw()
      .toBuffer({ resolveWithObject: true });
    const isRight = info.width === width && info.height === height;
    return isRight ? undefined : `is ${info.width}×${info.height}, not ${width}×${height}`;
  } catch (error) {
    return `${job.target} is no picture: ${String(error)}`;
  }
}
