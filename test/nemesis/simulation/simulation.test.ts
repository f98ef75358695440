/** N14: the whole engine under a clock, a disk, threads and processes that a seed decides about. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { runCampaign } from "./campaign.ts";
import { planOf } from "./plan.ts";
import { shownSteps, shownViolations } from "./shown.ts";
import { shrink } from "./shrink.ts";
import { simulate } from "./simulate.ts";

const seeds = 500;

test(`nothing breaks in ${seeds} simulations, and every fault and every invariant is among them`, async () => {
  const { failing, together } = await runCampaign({ from: 1, seeds });
  const [first] = failing;
  if (first) {
    const { plan, run } = await shrink(planOf(first.seed));
    const again = `replay it with: npm run --silent nemesis -- --simulate ${first.seed}`;
    assert.fail([`seed ${first.seed}`, ...shownViolations(run.violations), ...shownSteps(plan), again].join("\n"));
  }
  assert.deepEqual(together, []);
});

test("a seed always gives the same run, down to the last event", async () => {
  for (const seed of [3, 7, 11]) {
    const [once, twice] = [await simulate(planOf(seed)), await simulate(planOf(seed))];
    assert.ok(once.events.length > 10);
    assert.deepEqual(twice.events, once.events);
    assert.deepEqual(twice.counts, once.counts);
  }
  assert.notDeepEqual(planOf(3), planOf(4));
});

test("a disk that was to stall last holds up nothing once the steps are over", async () => {
  const { setting } = planOf(1);
  for (let seed = 1; seed <= 20; seed += 1) {
    const submits = planOf(seed).steps.filter(({ kind }) => kind === "submit");
    const steps = [...submits.slice(0, 1), { kind: "stall", afterMs: 200, ms: 60_000 } as const];
    const { violations } = await simulate({ seed, setting, steps });
    assert.deepEqual(violations, []);
  }
});

test("a campaign that looked at nothing has proved nothing, and says so", async () => {
  const { failing, together } = await runCampaign({ from: 1, seeds: 0 });
  assert.deepEqual(failing, []);
  assert.ok(together.some(({ text }) => text.startsWith('nothing was seen of "I1"')));
});

test("a run without steps breaks nothing, and is not counted as having looked at jobs", async () => {
  const { violations, counts } = await simulate({ ...planOf(1), steps: [] });
  assert.deepEqual(violations, []);
  assert.equal(counts.get("I1") ?? 0, 0);
});
