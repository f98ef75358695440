/**
 * Runs simulations from the command line: one seed, told in full and made short when it fails, or many.
 *
 *     npm run --silent nemesis -- --simulate SEED [--seeds N] [--bug NAME] [--json]
 */
import { parseArgs } from "node:util";
import { bugs } from "../bugs/bugs.ts";
import { type Conditions, conditionsOf } from "../report.ts";
import { runCampaign } from "./campaign.ts";
import { planOf } from "./plan.ts";
import { shrink } from "./shrink.ts";
import type { Under } from "./simulate.ts";
import { shownSteps, shownViolations } from "./shown.ts";

export const usage = `npm run --silent nemesis -- --simulate SEED [options]
  --seeds N         so many seeds, from this one on (default: 1)
  --bug NAME        with one of the seeded bugs, which must be found
  --json            one JSON object on standard output`;

type Asked = {
  readonly from: number;
  readonly seeds: number;
  readonly under: Under;
  readonly isJson: boolean;
  readonly conditions: Conditions;
};

/** Resolves with the exit code: 1 when something was broken. Throws an Error that says what is wrong with the arguments. */
export async function replay(args: readonly string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: { seeds: { type: "string" }, bug: { type: "string" }, json: { type: "boolean" } },
  });
  const from = toCount("the seed", positionals[0] ?? "1");
  const seeds = toCount("--seeds", values.seeds ?? "1");
  const bug = bugs.find(({ name }) => name === values.bug);
  if (values.bug !== undefined && !bug) {
    throw new Error(`no bug is named "${values.bug}": ${bugs.map(({ name }) => name).join(", ")}`);
  }
  const planted = await bug?.plant();
  try {
    return await run({
      from,
      seeds,
      under: planted?.under ?? {},
      isJson: values.json ?? false,
      conditions: conditionsOf(["--simulate", ...args], from),
    });
  } finally {
    await planted?.remove();
  }
}

async function run({ from, seeds, under, isJson, conditions }: Asked): Promise<number> {
  const startedAt = performance.now();
  const campaign = await runCampaign({ from, seeds, under });
  const seconds = Math.round(performance.now() - startedAt) / 1_000;
  const [failing] = campaign.failing;
  const shrunk = failing && (await shrink(planOf(failing.seed), under));
  const { counts, simulatedMs, together } = campaign;
  if (isJson) {
    const { setting, steps } = shrunk?.plan ?? {};
    const example = shrunk && { seed: failing.seed, violations: shrunk.run.violations, setting, steps };
    const violations = [...(failing?.violations ?? []), ...(seeds > 1 ? together : [])];
    const simulatedSeconds = Math.round(simulatedMs / 1_000);
    const summary = { ...conditions, seed: from, seeds: campaign.seeds, seconds, simulatedSeconds, counts, violations };
    process.stdout.write(`${JSON.stringify({ ...summary, firstCounterExample: example ?? null })}\n`);
  } else if (shrunk) {
    const lines = [`seed ${failing.seed} breaks:`, ...shownViolations(shrunk.run.violations), "with these steps:"];
    process.stdout.write(`${[...lines, ...shownSteps(shrunk.plan)].join("\n")}\n`);
  } else {
    const said = seeds > 1 ? shownViolations(together) : shownSteps(planOf(from));
    const broken = seeds > 1 && together.length > 0 ? `${together.length} violations` : "no violation";
    const looked = seeds === 1 ? `seed ${from}` : `${campaign.seeds} seeds`;
    process.stdout.write(`${[...said, `${looked} in ${seconds} s, ${broken}`].join("\n")}\n`);
  }
  return shrunk || (seeds > 1 && together.length > 0) ? 1 : 0;
}

function toCount(name: string, text: string): number {
  if (!/^[1-9]\d{0,9}$/.test(text)) throw new Error(`${name} is "${text}" and must be a whole number from 1 on`);
  return Number(text);
}
