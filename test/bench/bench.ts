/**
 * `npm run bench`: measures Millpond beside what it is built on, in one run, so that the ratios hold on any machine.
 * docs/benchmarks.md says what each figure means. Exits with 0 unless a job was lost or came back twice, or a process
 * died; a missed target is no failure.
 */
import { mkdir, mkdtemp, realpath, rm } from "node:fs/promises";
import { availableParallelism, loadavg, tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import type { BaselineCalls } from "./baselines.ts";
import type { EchoServerCalls } from "./baselines/echo-server.ts";
import { startChild } from "./child.ts";
import type { LoadCalls } from "./load.ts";
import { rounded } from "./numbers.ts";
import { table } from "./report.ts";
import { measureBatch } from "./sections/batch.ts";
import { measureExchange } from "./sections/exchange.ts";
import { measureImages } from "./sections/images.ts";
import { measureLatency } from "./sections/latency.ts";
import { measurePrune } from "./sections/prune.ts";
import type { Bench, Section } from "./sections/section.ts";
import { measureSubmit } from "./sections/submit.ts";
import { startServer } from "./server.ts";

type Measure = (bench: Bench) => Promise<Section>;
type Options = { readonly only: readonly string[]; readonly seconds: number; readonly profile: string | undefined };

const sections: ReadonlyMap<string, Measure> = new Map([
  ["exchange", measureExchange],
  ["submit", measureSubmit],
  ["latency", measureLatency],
  ["images", measureImages],
  ["batch", measureBatch],
  ["prune", measurePrune],
]);
const usage = `usage: npm run bench -- [--only ${[...sections.keys()].join(",")}] [--seconds 1-600] [--json] [--profile FOLDER]`;

const { values } = parse();
const options = check();
const say = (text: string) => void process.stderr.write(`${text}\n`);
process.exitCode = await main();

async function main(): Promise<number> {
  const interrupted = Promise.withResolvers<never>();
  interrupted.promise.catch(() => undefined);
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    process.once(signal, () => interrupted.reject(new Error(`interrupted by ${signal}`)));
  }
  const measured = new Map<string, Section>();
  const faults: string[] = [];
  for (const name of options.only) {
    try {
      measured.set(name, await measure(name, interrupted.promise));
      faults.push(...(measured.get(name)?.faults ?? []).map((fault) => `${name}: ${fault}`));
    } catch (error) {
      faults.push(`${name}: ${error instanceof Error ? error.message : String(error)}`);
      break;
    }
  }
  const figures = Object.fromEntries([...measured].map(([name, section]) => [name, section.figures]));
  const rows = [...measured.values()].flatMap((section) => section.rows);
  process.stdout.write(values.json ? `${JSON.stringify(figures)}\n` : `\n${table(rows).join("\n")}\n`);
  for (const fault of faults) say(`not as it should be: ${fault}`);
  return faults.length > 0 ? 1 : 0;
}

/** Runs one section with a server, a store and processes of its own, and ends all of them. */
async function measure(name: string, interrupted: Promise<never>): Promise<Section> {
  const folder = await mkdtemp(join(await realpath(tmpdir()), "millpond-bench-"));
  const nodeFlags = options.profile === undefined ? [] : ["--cpu-prof", `--cpu-prof-dir=${options.profile}`];
  const started: { stop(): Promise<void> }[] = [];
  const start = <P extends { stop(): Promise<void> }>(process: P): P => {
    started.push(process);
    return process;
  };
  const load = loadBefore();
  say(`${name}: ${availableParallelism()} cores, ${load} processes wanted to run before it (load average)`);
  try {
    if (options.profile !== undefined) await mkdir(options.profile, { recursive: true });
    const pictures = join(folder, "pictures");
    await mkdir(pictures);
    const file = (path: string) => join(import.meta.dirname, path);
    const section = await Promise.race([
      interrupted,
      (sections.get(name) as Measure)({
        seconds: options.seconds,
        folder,
        pictures,
        server: start(await startServer(folder, pictures, nodeFlags)),
        load: start(startChild<LoadCalls>(file("load.ts"), nodeFlags)),
        baselines: start(startChild<BaselineCalls>(file("baselines.ts"))),
        echo: start(startChild<EchoServerCalls>(file("baselines/echo-server.ts"))),
        say,
      }),
    ]);
    return { ...section, figures: { ...section.figures, loadAverage: load } };
  } finally {
    await Promise.all(started.map((process) => process.stop()));
    await rm(folder, { recursive: true, force: true });
  }
}

function loadBefore(): number {
  return rounded(loadavg()[0] ?? Number.NaN, 3);
}

function parse() {
  try {
    return parseArgs({
      options: {
        only: { type: "string", default: [...sections.keys()].join(",") },
        seconds: { type: "string", default: "10" },
        json: { type: "boolean", default: false },
        profile: { type: "string" },
      },
    });
  } catch (error) {
    return refuse(error instanceof Error ? error.message : String(error));
  }
}

function check(): Options {
  const only = values.only.split(",");
  const unknown = only.filter((name) => !sections.has(name));
  if (unknown.length > 0) refuse(`--only ${unknown.join(",")}: there are ${[...sections.keys()].join(", ")}`);
  const seconds = Number(values.seconds);
  if (!(seconds >= 1 && seconds <= 600)) refuse(`--seconds ${values.seconds}: must be 1 to 600`);
  return { only, seconds, profile: values.profile === undefined ? undefined : resolve(values.profile) };
}

function refuse(what: string): never {
  process.stderr.write(`bench: ${what}\n${usage}\n`);
  process.exit(2);
}
