/**
 * Hurts a server in every way it knows while clients work, and then judges by what the clients and the tasks wrote down
 * whether any promise was broken. Prints one JSON object; exits with 1 when there is a violation.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { setFlagsFromString } from "node:v8";
import { type Arguments, parseArguments, simulate, usage } from "./arguments.ts";
import { faults } from "./faults/all.ts";
import type { Fault } from "./faults/fault.ts";
import { messageOf } from "../../src/errors.ts";
import { createRandom } from "./random.ts";
import { conditionsOf, type FaultReport, summarize } from "./report.ts";
import { replay, usage as simulationUsage } from "./simulation/replay.ts";

// a million jobs are five million events
setFlagsFromString("--max-old-space-size=12288");

const faultNames = faults.map(({ name }) => name);

/** Runs one fault; whatever goes wrong with the run itself counts against it. */
async function runFault(fault: Fault, { seed, kills, jobs, isGate, root, keeps }: Arguments): Promise<FaultReport> {
  const about = { name: fault.name, row: fault.row, says: fault.says };
  const clone = root ?? fileURLToPath(new URL("../..", import.meta.url));
  const reason = await fault.needs(clone);
  if (reason !== null) return { ...about, skipped: reason };
  const folder = await mkdtemp(join(tmpdir(), `nemesis-${fault.name}-`));
  const startedAt = performance.now();
  const took = () => Math.round(performance.now() - startedAt) / 1000;
  const asked = { ...(kills !== undefined && { kills }), ...(jobs !== undefined && { jobs }) };
  try {
    const random = createRandom(`${seed}/${fault.name}`);
    const result = await fault.run({ folder, root: clone, seed, random, isGate, asked });
    return { ...about, ...result, seconds: took() };
  } catch (error) {
    return {
      ...about,
      failed: error instanceof Error ? (error.stack ?? error.message) : String(error),
      seconds: took(),
    };
  } finally {
    if (keeps) process.stderr.write(`nemesis: ${fault.name}: the logs are in ${folder}\n`);
    else await rm(folder, { recursive: true, force: true, maxRetries: 5 });
  }
}

async function main(args: readonly string[]): Promise<number> {
  const isSimulation = args[0] === simulate;
  const help = isSimulation ? simulationUsage : usage;
  if (args.includes("--help")) {
    process.stdout.write(`${help}\n`);
    return 0;
  }
  try {
    return await (isSimulation ? replay(args.slice(1)) : hurt(parseArguments(args, faultNames), args));
  } catch (error) {
    process.stderr.write(`nemesis: ${messageOf(error)}\n${help}\n`);
    return 2;
  }
}

/** Runs the faults one after the other; resolves with the exit code. */
async function hurt(given: Arguments, args: readonly string[]): Promise<number> {
  const reports: FaultReport[] = [];
  for (const fault of faults) {
    if (given.faults && !given.faults.includes(fault.name)) continue;
    const report = await runFault(fault, given);
    reports.push(report);
    process.stderr.write(`nemesis: ${lineOf(report)}\n`);
  }
  const summary = summarize(given.seed, reports);
  if (given.isJson) process.stdout.write(`${JSON.stringify({ ...conditionsOf(args, given.seed), ...summary })}\n`);
  return summary.violationCount === 0 ? 0 : 1;
}

function lineOf(report: FaultReport): string {
  const head = `${report.row} ${report.name}:`;
  if ("skipped" in report) return `${head} skipped, ${report.skipped}`;
  if ("failed" in report) return `${head} FAILED after ${report.seconds} s: ${report.failed}`;
  const { happened, planned, verdict, measured, seconds } = report;
  const figures = JSON.stringify(measured);
  const broken =
    verdict.violationCount === 0
      ? "no violation"
      : `${verdict.violationCount} VIOLATION${verdict.violationCount === 1 ? "" : "S"}`;
  const first = verdict.violations[0];
  const example = first ? `; first: ${first.invariant} ${first.text} ${first.job ?? first.channel ?? ""}` : "";
  return `${head} ${happened} of ${planned} in ${seconds} s, ${broken}, ${figures}${example}`;
}

process.exitCode = await main(process.argv.slice(2));
