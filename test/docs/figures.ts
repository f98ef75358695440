/**
 * Keeps docs/nemesis.json, the outputs of the last large runs of the nemesis, and writes the section of
 * docs/guarantees.md that tells of them:
 *
 *     node test/docs/figures.ts OUTPUT.json...   takes these outputs in place of those with the same faults
 *     node test/docs/figures.ts                  writes the section anew
 */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { renderPromises } from "./promises.ts";
import { bound, number, table } from "./render.ts";

type Conditions = { readonly command: string; readonly at: string; readonly cores: number; readonly seed: number };
type Figures = { readonly [name: string]: number };
/** One fault of a run, as in the nemesis's output. */
export type FaultFigures = { readonly name: string; readonly row: string; readonly says: string } & (
  | { readonly skipped: string }
  | {
      readonly happened: number;
      readonly seconds: number;
      readonly measured: Figures;
      readonly checked: Figures;
      readonly counts: Figures;
      readonly violationCount: number;
      readonly lossBelowPercent?: number;
    }
);
export type FaultRun = Conditions & {
  readonly faults: readonly FaultFigures[];
  readonly violations: readonly { readonly invariant: string }[];
};
export type SimulationRun = Conditions & {
  readonly seeds: number;
  readonly seconds: number;
  readonly simulatedSeconds: number;
  readonly counts: Figures;
  readonly violations: readonly object[];
};
export type Runs = { readonly faults: readonly FaultRun[]; readonly simulation: SimulationRun };

const runsUrl = new URL("../../docs/nemesis.json", import.meta.url);
const pageUrl = new URL("../../docs/guarantees.md", import.meta.url);
const [begin, end] = ["<!-- Written by test/docs/figures.ts from docs/nemesis.json. -->\n", "<!-- Here it ends. -->\n"];
const prefix = "npm run --silent nemesis -- ";

export const readRuns = () => JSON.parse(readFileSync(runsUrl, "utf8")) as Runs;
export const readPage = () => readFileSync(pageUrl, "utf8");

/** The page with its section as these runs want it. Throws when the section's marks are not there. */
export function withFigures(page: string, runs: Runs): string {
  const [from, to] = [page.indexOf(begin), page.indexOf(end)];
  if (from < 0 || to < from) throw new Error(`the page must have the lines "${begin.trim()}" and "${end.trim()}"`);
  return `${page.slice(0, from + begin.length)}\n${renderFigures(runs)}\n${page.slice(to)}`;
}

export function renderFigures({ faults, simulation }: Runs): string {
  const rows = faults.flatMap((run) => run.faults.map((fault) => ({ run, fault })));
  rows.sort((one, other) => Number(one.fault.row.slice(1)) - Number(other.fault.row.slice(1)));
  const head = ["", "Fault", "Times", "Accepted, executions, results", "Violations", "Bound", "Also", "Arguments"];
  const lines = rows.map(({ run, fault }) => [
    fault.row,
    fault.says,
    ...("skipped" in fault ? ["skipped", "", "", "", fault.skipped] : figuresOf(fault)),
    `\`${argumentsOf(run)}\``,
  ]);
  const { seeds, seconds, simulatedSeconds, counts, violations } = simulation;
  const simulated = [
    "N14",
    "everything at once, simulated: clock, disk, threads and processes as a seed decides",
    `${number(seeds)} seeds`,
    `${number(counts["outcome succeeded"] ?? 0)} attempts that succeeded`,
    String(violations.length),
    bound(seeds),
    `crashes ${number(counts["step crash"] ?? 0)}, thread deaths ${number(counts["thread deaths"] ?? 0)}, ${number(simulatedSeconds)} s of simulated time in ${number(Math.round(seconds))} s`,
    `\`${argumentsOf(simulation)}\``,
  ];
  const days = [...faults, simulation].map(({ at }) => at.slice(0, 10)).toSorted();
  const cores = Math.max(...faults.map((run) => run.cores));
  const when = days[0] === days.at(-1) ? days[0] : `${days[0]} to ${days.at(-1)}`;
  return `Run on ${when}, on a machine with ${cores} cores that others used too, each line with \`${prefix.trim()}\` and its arguments:

${table(head, [...lines, simulated])}

The same by promise, over all these runs but the simulation. *Times* is of how many jobs, results, attempts, keys or files
the invariants were asked. This bound takes each as a try of its own, which those of one run are not: the one above, per
fault, is the more careful.

${renderPromises(faults)}
`;
}

function figuresOf(fault: Exclude<FaultFigures, { skipped: string }>): string[] {
  const { happened, counts, violationCount, lossBelowPercent, measured } = fault;
  const handled = ["accepted", "executions", "results"].map((name) => number(counts[name] ?? 0)).join(", ");
  const also = Object.entries(measured).map(([name, value]) => `${inWords(name)} ${number(value)}`);
  const least = lossBelowPercent === undefined ? "none" : bound(happened);
  return [number(happened), handled, String(violationCount), least, also.join(", ")];
}

const argumentsOf = ({ command }: Conditions) => command.replace(prefix, "").replace(" --json", "");

/** `restartP99Ms` as "restart p99 ms". */
function inWords(name: string): string {
  return name.replaceAll(/(?<=[a-z\d])[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`).replace(/ mi b$/, " MiB");
}

/** The runs with these outputs in them; a fault that ran anew leaves the runs it was in before. One may have several. */
export function joinRuns(before: Runs | undefined, outputs: readonly (FaultRun | SimulationRun)[]): Runs {
  const runs = outputs.filter((output) => "faults" in output);
  const simulation = outputs.findLast((output) => "seeds" in output) ?? before?.simulation;
  if (!simulation) throw new Error("an output of the simulation is missing");
  const anew = new Set(runs.flatMap(({ faults }) => faults.map(({ name }) => name)));
  const kept = (before?.faults ?? []).map((run) => ({
    ...run,
    faults: run.faults.filter(({ name }) => !anew.has(name)),
  }));
  return { faults: [...kept.filter((run) => run.faults.length > 0), ...runs], simulation };
}

/** What of an output is kept: not the story of its first counter-example. */
function readOutput(path: string): FaultRun | SimulationRun {
  const { firstCounterExample: _, ...output } = JSON.parse(readFileSync(path, "utf8"));
  return output as FaultRun | SimulationRun;
}

if (import.meta.main) {
  const outputs = process.argv.slice(2).map(readOutput);
  if (outputs.length > 0) {
    const runs = joinRuns(existsSync(runsUrl) ? readRuns() : undefined, outputs);
    writeFileSync(runsUrl, `${JSON.stringify(runs, null, 2)}\n`);
  }
  writeFileSync(pageUrl, withFigures(readPage(), readRuns()));
}
