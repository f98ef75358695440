/** What all faults of a run came to, as one object. */
import { availableParallelism } from "node:os";
import type { Violation } from "./invariants/invariant.ts";
import type { Verdict } from "./checker.ts";
import type { TrialResult } from "./faults/fault.ts";

type About = { readonly name: string; readonly row: string; readonly says: string };
export type FaultReport = About &
  (
    | { readonly skipped: string }
    | { readonly failed: string; readonly seconds: number }
    | (TrialResult & { readonly seconds: number })
  );

/** What has to be known to judge a run's figures, or to have them again. */
export type Conditions = { readonly command: string; readonly at: string; readonly cores: number };

export function conditionsOf(args: readonly string[], seed: number): Conditions {
  const given = args.some((argument) => /^--(seed|simulate)\b/.test(argument))
    ? args
    : [...args, "--seed", String(seed)];
  const command = ["npm run --silent nemesis --", ...given].join(" ");
  return { command, at: new Date().toISOString(), cores: availableParallelism() };
}

export type Summary = {
  readonly seed: number;
  readonly faults: readonly object[];
  readonly counts: { readonly [name: string]: number };
  readonly violationCount: number;
  readonly violations: readonly (Violation & { readonly fault: string })[];
  readonly firstCounterExample: (Verdict["firstCounterExample"] & { readonly fault: string }) | null;
};

/** A run in which no fault happened, and a fault that happened less often than it was to, are violations too. */
export function summarize(seed: number, reports: readonly FaultReport[]): Summary {
  const counts: { [name: string]: number } = { faultsRun: 0, faultsSkipped: 0, happened: 0 };
  const violations: (Violation & { readonly fault: string })[] = [];
  let violationCount = 0;
  let firstCounterExample: Summary["firstCounterExample"] = null;
  const add = (fault: string, text: string) => {
    violationCount += 1;
    violations.push({ fault, invariant: "run", text });
  };
  for (const report of reports) {
    const { name: fault } = report;
    if ("skipped" in report) {
      counts["faultsSkipped"]! += 1;
      continue;
    }
    counts["faultsRun"]! += 1;
    if ("failed" in report) {
      add(fault, report.failed);
      continue;
    }
    const { verdict, happened, planned } = report;
    counts["happened"]! += happened;
    for (const [name, count] of Object.entries(verdict.counts)) counts[name] = (counts[name] ?? 0) + count;
    if (happened < planned) add(fault, `happened ${happened} times and was to happen ${planned} times`);
    violationCount += verdict.violationCount;
    violations.push(...verdict.violations.map((violation) => ({ ...violation, fault })));
    if (verdict.firstCounterExample) firstCounterExample ??= { ...verdict.firstCounterExample, fault };
  }
  if (counts["faultsRun"] === 0) add("all", "no fault happened: nothing was proved");
  return { seed, faults: reports.map(withoutViolations), counts, violationCount, violations, firstCounterExample };
}

/** The violations of all faults stand together, so that each is printed once. */
function withoutViolations(report: FaultReport): object {
  if (!("verdict" in report)) return report;
  const { verdict, ...rest } = report;
  const { checked, counts, violationCount } = verdict;
  return { ...rest, checked, counts, violationCount, ...boundOf(report) };
}

/** With no loss in n kills the chance of one is below 1 - 0.05^(1/n) a kill, at 95 %. */
function boundOf({ happened, verdict }: TrialResult): object {
  if (verdict.violationCount > 0 || happened === 0) return {};
  return { lossBelowPercent: Math.ceil((1 - 0.05 ** (1 / happened)) * 10_000) / 100 };
}
