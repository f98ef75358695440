import type { Verdict } from "../checker.ts";
import type { Random } from "../random.ts";

/** What a fault gets to work with. */
export type Trial = {
  /** A folder of its own, empty at first. */
  readonly folder: string;
  /** The clone whose server is tested. */
  readonly root: string;
  readonly seed: number;
  /** Chance that the seed decides; the schedule of faults is drawn from nothing else. */
  readonly random: Random;
  /** The sizes of the release gate instead of those of CI. */
  readonly isGate: boolean;
  /** What the command line asks for; each fault that takes it has its own default. */
  readonly asked: { readonly kills?: number; readonly jobs?: number };
};

/** What came of it. */
export type TrialResult = {
  /** How often the fault happened for certain. */
  readonly happened: number;
  /** How often it was meant to; fewer is a violation, for what did not happen proves nothing. */
  readonly planned: number;
  /** Figures by name, such as `restartP99Ms`. */
  readonly measured: { readonly [name: string]: number };
  readonly verdict: Verdict;
};

/** One kind of trouble. */
export type Fault = {
  /** As on the command line: `kill`. */
  readonly name: string;
  /** Its row of the nemesis table: `N1`. */
  readonly row: string;
  readonly says: string;
  /** Why it cannot be had on this machine, or null. */
  needs(root: string): Promise<string | null> | string | null;
  run(trial: Trial): Promise<TrialResult>;
};

/** The value below which 99 of 100 lie; the highest of fewer. */
export function p99(values: readonly number[]): number {
  const sorted = values.toSorted((one, other) => one - other);
  return Math.round(sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * 0.99))] ?? Number.NaN);
}

export const sleep = (ms: number) => new Promise<void>((resolve) => void setTimeout(resolve, ms));
