/** Many simulations, and what they prove together: a check that never looked at anything proves nothing. */
import type { Violation } from "../invariants/invariant.ts";
import { planOf } from "./plan.ts";
import { simulate, type Under } from "./simulate.ts";

export type Campaign = {
  readonly from: number;
  readonly seeds: number;
  /** Seeds whose run broke something, the first first. */
  readonly failing: readonly { readonly seed: number; readonly violations: readonly Violation[] }[];
  /** What is wrong with all of them together. */
  readonly together: readonly Violation[];
  /** What was looked at, and what happened, by name. */
  readonly counts: { readonly [name: string]: number };
  readonly simulatedMs: number;
};

export type CampaignOptions = {
  /** The first seed; those behind it follow by one. */
  readonly from: number;
  readonly seeds: number;
  /** Ends with so many seeds that fail. */
  readonly maxFailing?: number;
  readonly under?: Under;
};

/** Invariants that every campaign looks at, whatever its size. */
const always = ["I1", "I2", "I5", "I6", "I7", "I8", "I9", "I10", "I12", "I13", "I14", "I18", "I19"];
/** What seldom comes up is asked of this many seeds and more. */
const manySeeds = 300;
const inMany = [
  ...[
    "I3",
    "I4",
    "I11",
    "I15",
    "I20",
    "I22",
    "servers killed by a job",
    "own processes killed",
    "answer duplicate",
    "answer conflict",
    "cancel cancelled",
    "cancel cancelling",
  ],
  ...[
    "redrive redriven",
    "remove removed",
    "settled stale",
    "settled cancelling",
    "chunks of several",
    "thread deaths",
  ],
  ...["outcome expired", "outcome lost", "outcome released", "outcome timed_out", "outcome cancelled"],
  ...["step crash", "step power", "step io", "step stop", "step freeze", "step stall", "step takeover", "step murder"],
  ...["refused rate_limited", "refused queue_full", "neighbours withdrawn"],
];
/** The mean of so many even draws is off by 0.05 less than once in a million campaigns. */
const drawsEnough = 1_000;
const meanSlack = 0.05;

/** A seed that throws has failed as one that breaks an invariant has. */
export async function runCampaign({ from, seeds, maxFailing = 1, under = {} }: CampaignOptions): Promise<Campaign> {
  const counts: { [name: string]: number } = {};
  const failing: { seed: number; violations: readonly Violation[] }[] = [];
  let draws = 0;
  let sum = 0;
  let run = 0;
  let simulatedMs = 0;
  for (let seed = from; seed < from + seeds && failing.length < maxFailing; seed += 1) {
    const result = await simulate(planOf(seed), under);
    run += 1;
    simulatedMs += result.simulatedMs;
    for (const [name, count] of result.counts) counts[name] = (counts[name] ?? 0) + count;
    draws += result.draws.length;
    sum += result.draws.reduce((total, share) => total + share, 0);
    if (result.violations.length > 0) failing.push({ seed, violations: result.violations });
  }
  const together = failing.length > 0 ? [] : [...blindSpots(counts, run), ...jitterFaults(draws, sum / draws, run)];
  return { from, seeds: run, failing, together, counts, simulatedMs };
}

function blindSpots(counts: Campaign["counts"], seeds: number): Violation[] {
  const needed = seeds >= manySeeds ? [...always, ...inMany] : always;
  const unseen = needed.filter((name) => (counts[name] ?? 0) === 0);
  return unseen.map((name) => ({ invariant: "run", text: `nothing was seen of "${name}": nothing was proved of it` }));
}

/** Full jitter draws evenly from 0 to the bound. */
function jitterFaults(draws: number, mean: number, seeds: number): Violation[] {
  if (draws < drawsEnough) {
    if (seeds < manySeeds) return [];
    return [
      { invariant: "I14", text: `${draws} delays with jitter were seen, and fewer than ${drawsEnough} prove nothing` },
    ];
  }
  if (Math.abs(mean - 0.5) <= meanSlack) return [];
  return [
    { invariant: "I14", text: `${draws} delays with full jitter are ${mean.toFixed(2)} of their bound on average` },
  ];
}
