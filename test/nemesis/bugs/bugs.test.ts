/** The checkers see what they are there to see: twelve mistakes, each planted and each found, by name. */
import assert from "node:assert/strict";
import { readdir } from "node:fs/promises";
import { tmpdir } from "node:os";
import { suite, test } from "node:test";
import type { Violation } from "../invariants/invariant.ts";
import { runCampaign } from "../simulation/campaign.ts";
import { planOf } from "../simulation/plan.ts";
import { shrink } from "../simulation/shrink.ts";
import { simulate } from "../simulation/simulate.ts";
import { bugs, type SeededBug } from "./bugs.ts";
import { plantCopy } from "./planted-copy.ts";

/** A campaign of so many is clean without a bug. */
const most = 600;
/** What a failure needs is little: so many steps tell it. */
const mostSteps = 12;

suite("each seeded bug is caught", () => {
  for (const bug of bugs) {
    test(`${bug.name}: ${bug.says}`, async () => {
      const caught = await caughtBy(bug);
      assert.ok(caught.size > 0, `nothing broke in ${bug.seeds ?? most} simulations`);
      const expected = bug.breaks.filter((invariant) => caught.has(invariant));
      assert.ok(expected.length > 0, `${[...caught].join(", ")} broke, and not ${bug.breaks.join(" or ")}`);
    });
  }
});

/** What breaks in the first run that breaks something, or in all of them together. */
async function caughtBy({ plant, seeds = most, shownBy }: SeededBug): Promise<ReadonlySet<string>> {
  const { under, remove } = await plant();
  try {
    const known = shownBy === undefined ? [] : (await simulate(planOf(shownBy), under)).violations;
    if (known.length > 0) return namesOf(known);
    const { failing, together } = await runCampaign({ from: 1, seeds, under });
    return namesOf([...(failing[0]?.violations ?? []), ...together]);
  } finally {
    await remove();
  }
}

function namesOf(violations: readonly Violation[]): ReadonlySet<string> {
  return new Set(violations.map(({ invariant }) => invariant));
}

test("there are twelve of them, each with a name of its own", () => {
  assert.equal(new Set(bugs.map(({ name }) => name)).size, 12);
});

test("a failing seed is made short, and what is left fails as it did", async () => {
  const bug = bugs.find(({ name }) => name === "acknowledge before commit");
  const { under, remove } = await bug!.plant();
  try {
    const { failing } = await runCampaign({ from: 1, seeds: most, under });
    const { plan, run } = await shrink(planOf(failing[0]!.seed), under);
    assert.ok(plan.steps.length <= mostSteps, `${plan.steps.length} steps are left`);
    assert.ok(run.violations.some(({ invariant }) => invariant === "I1"));
  } finally {
    await remove();
  }
});

test("a bug whose place in the code is gone cannot be planted, and nothing is left behind", async () => {
  const left = async () => (await readdir(tmpdir())).filter((name) => name.startsWith("nemesis-bug-"));
  const before = await left();
  const nowhere = { file: "job/backoff.ts", text: "no such text", by: "" };
  await assert.rejects(plantCopy([nowhere]), /job\/backoff\.ts has 0 times: no such text/);
  assert.deepEqual(
    (await left()).filter((name) => !before.includes(name)),
    [],
  );
});
