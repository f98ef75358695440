/** Jobs that do not go straight: one fails twice and then succeeds, one dies and is redriven, one is cancelled. */
import { copyFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { fail, imageResize, type JobInfo, type MillpondClient, sleep } from "../../clients/typescript/index.ts";
import { duration } from "../../src/cli/print/format.ts";
import { say } from "./show.ts";

/** Longer than anybody waits: only a cancel ends it. */
const anHourMs = 3_600_000;
const askMs = 20;

/** `root` is the folder that the server's tasks see; `signal` ends the show. Returns what is not as it should be. */
export async function showEndings(client: MillpondClient, root: string, signal: AbortSignal): Promise<string[]> {
  say("\nJobs that do not go straight", "head");
  const retried = await failTwice(client, signal);
  const redriven = await dieAndBeRedriven(client, root, signal);
  const cancelled = await cancelInMidRun(client, signal);
  return [
    ...faultsOf("the job that fails twice", retried, { state: "SUCCEEDED", attempts: 3, redrives: 0 }),
    ...faultsOf("the redriven job", redriven, { state: "SUCCEEDED", attempts: 1, redrives: 1 }),
    ...faultsOf("the cancelled job", cancelled, { state: "CANCELLED", attempts: 1, redrives: 0 }),
  ];
}

async function failTwice(client: MillpondClient, signal: AbortSignal): Promise<JobInfo> {
  const input = { times: 2, message: "the neighbour's service is down" };
  const id = await client.submit(fail, input, { channel: "endings", retry: { jitter: "none" } });
  return whenFinal(client, id, signal);
}

/** Its picture is not there yet; once it is, the same job is put back into the queue. */
async function dieAndBeRedriven(client: MillpondClient, root: string, signal: AbortSignal): Promise<JobInfo> {
  const path = "late.jpg";
  const input = { source: { case: "path" as const, value: path }, width: 320, outputPath: "late-320.jpg" };
  const id = await client.submit(imageResize, input, { channel: "endings" });
  await whenFinal(client, id, signal);
  await copyFile(join(import.meta.dirname, "pictures", "rocket.jpg"), join(root, path));
  for await (const { id: dead } of client.deadLetters({ filter: { failureReason: "file_not_found" } })) {
    await client.redrive([dead]);
    say(`  ${imageResize.name}: its picture is there now, and it is redriven`);
  }
  return whenFinal(client, id, signal);
}

async function cancelInMidRun(client: MillpondClient, signal: AbortSignal): Promise<JobInfo> {
  const id = await client.submit(sleep, { durationMs: anHourMs }, { channel: "endings" });
  // a job whose thread still starts is RUNNING, too: `explain` tells them apart
  while ((await client.explain(id)).cause !== "running") await setTimeout(askMs, undefined, { signal });
  say(`  ${sleep.name}: runs for an hour, unless it is cancelled, as now`);
  await client.cancel([id]);
  return whenFinal(client, id, signal);
}

/** Waits for a job's end and says what happened since its last redrive. */
async function whenFinal(client: MillpondClient, id: string, signal: AbortSignal): Promise<JobInfo> {
  for await (const _ of client.watch(id, { signal })); // ends when the job does
  signal.throwIfAborted();
  const job = await client.getJob(id);
  const { task, state, attempts, deadReason, history, result } = job;
  for (const { number, outcome, failure } of history.slice(-attempts)) {
    if (state === "DEAD" || number < attempts) say(`  ${task}: attempt ${number} ${outcome}: ${failure?.message}`);
  }
  const times = `waited ${duration(result?.queueWaitMs)}, ran ${duration(result?.executionMs)}`;
  const ending = deadReason === undefined ? state : `${state} (${deadReason})`;
  say(`  ${task}: ${ending} at attempt ${attempts}, ${times}`, state === "SUCCEEDED" ? "good" : "bad");
  return job;
}

function faultsOf(name: string, job: JobInfo, expected: Pick<JobInfo, "state" | "attempts" | "redrives">): string[] {
  const keys = ["state", "attempts", "redrives"] as const;
  return keys
    .filter((key) => job[key] !== expected[key])
    .map((key) => `${name} has ${key} ${job[key]} and should have ${expected[key]}`);
}
