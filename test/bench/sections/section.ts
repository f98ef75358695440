/** What the sections share: the processes they measure with, and how they add up what was counted. */
import type { BaselineCalls } from "../baselines.ts";
import type { EchoServerCalls } from "../baselines/echo-server.ts";
import type { Child } from "../child.ts";
import type { LoadCalls } from "../load.ts";
import type { Counts } from "../load/tally.ts";
import { median, percentile, sum } from "../numbers.ts";
import type { BenchServer } from "../server.ts";
import { cpuSeconds } from "../usage.ts";

export type Bench = {
  /** How long each section measures Millpond, all slices together. */
  readonly seconds: number;
  /** Own temporary folder of this section, on the disk that is measured. */
  readonly folder: string;
  /** Where the server reads and writes pictures; empty at first. */
  readonly pictures: string;
  readonly server: BenchServer;
  readonly load: Child<LoadCalls>;
  readonly baselines: Child<BaselineCalls>;
  readonly echo: Child<EchoServerCalls>;
  /** Tells people how far it is. */
  say(text: string): void;
};

/** One figure, what it is compared with, and what it should be. */
export type Row = {
  readonly figure: string;
  readonly value: string;
  readonly comparedWith: string;
  readonly ratio: number | undefined;
  readonly target: string;
  /** Undefined where there is no target. */
  readonly isReached: boolean | undefined;
};

export type Section = {
  readonly figures: { readonly [name: string]: number };
  readonly rows: readonly Row[];
  /** What was not correct; nothing when all is well. */
  readonly faults: readonly string[];
};

/** Slices of Millpond and of what it is compared with take turns, so that a busy moment of the machine meets both. */
export const rounds = 5;

/** How long a slice may take beyond the time it measures. */
const slackMs = 60_000;

/** Runs one slice; rejects when the server dies meanwhile. */
export async function slice<T>(
  bench: Bench,
  seconds: number,
  run: (limitMs: number) => Promise<T>,
): Promise<T & { readonly serverCpuSeconds: number }> {
  const before = cpuSeconds(bench.server.pid);
  const found = await Promise.race([run(seconds * 1000 + slackMs), bench.server.died]);
  return { ...found, serverCpuSeconds: cpuSeconds(bench.server.pid) - before };
}

/** What the slices counted together, and what is wrong with it. */
export function addUp(slices: readonly Counts[]): { readonly counts: Counts; readonly faults: readonly string[] } {
  const total = (name: keyof Counts) => sum(slices.map((each) => each[name]));
  const counts = {
    submitted: total("submitted"),
    results: total("results"),
    lost: total("lost"),
    doubled: total("doubled"),
    refused: total("refused"),
    failed: total("failed"),
  };
  const { submitted, results, lost, doubled, refused, failed } = counts;
  const faults: string[] = [];
  if (lost > 0) faults.push(`${lost} of ${submitted} jobs have no result`);
  if (doubled > 0) faults.push(`${doubled} results came twice, or for jobs that were not submitted`);
  if (refused > 0) faults.push(`${refused} jobs were refused`);
  if (failed > 0) faults.push(`${failed} jobs failed`);
  if (results !== submitted && faults.length === 0) faults.push(`${submitted} jobs have ${results} results`);
  return { counts, faults };
}

/** A percentile of each slice, and of those the median: one disturbed slice does not decide it. */
export function typical(slices: readonly { readonly latencies: Float64Array }[], share: number): number {
  return median(slices.map(({ latencies }) => percentile(latencies, share)));
}
