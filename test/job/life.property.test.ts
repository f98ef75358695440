import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { RetryPolicy } from "../../src/job/backoff.ts";
import { isFinal, type Lease, type Outcome, type Settlement } from "../../src/job/job.ts";
import { poisonAfterCrashes, transition } from "../../src/job/transition.ts";
import { createMemoryStore } from "../../src/store/memory.ts";
import { everything, newJob, resultsOf, t0 } from "../store/sample.ts";

const policy: RetryPolicy = { maxAttempts: 4, baseMs: 100, factor: 2, maxBackoffMs: 5000, jitter: "full" };

const failure = fc.record(
  { reason: fc.constant("r"), message: fc.constant("m"), retryable: fc.boolean(), retryAfterMs: fc.nat(10_000) },
  { requiredKeys: ["reason", "message", "retryable"] },
);
const outcomes: fc.Arbitrary<Outcome> = fc.oneof(
  { weight: 1, arbitrary: fc.constant<Outcome>({ kind: "succeeded", output: null }) },
  { weight: 1, arbitrary: fc.constant<Outcome>({ kind: "cancelled" }) },
  { weight: 4, arbitrary: failure.map((each): Outcome => ({ kind: "failed", failure: { ...each, retryable: true } })) },
  { weight: 1, arbitrary: failure.map((each): Outcome => ({ kind: "failed", failure: each })) },
  { weight: 2, arbitrary: fc.constant<Outcome>({ kind: "timed_out", timeoutMs: 10 }) },
  { weight: 4, arbitrary: fc.boolean().map((crashed): Outcome => ({ kind: "lost", crashed })) },
  { weight: 4, arbitrary: fc.constant<Outcome>({ kind: "released" }) },
);
const lives = fc.record({
  maxAttempts: fc.integer({ min: 1, max: 6 }),
  outcomes: fc.array(outcomes, { minLength: 1, maxLength: 20 }),
  random: fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
});
type Life = typeof lives extends fc.Arbitrary<infer T> ? T : never;

/** Lives one job's life against the reference store, and after each settlement tries every older one again. */
async function live({ maxAttempts, outcomes, random }: Life) {
  const store = createMemoryStore();
  const job = newJob({ maxAttempts });
  await store.submit([job]);
  const applied: Settlement[] = [];
  const leases: Lease[] = [];
  let now = t0;
  for (const outcome of outcomes) {
    const early = await store.lease({ pool: "cpu", limit: 1, now: now - 1, owner: "boot" });
    assert.equal(early.leases.length, 0, "nothing is leased before its time");
    const [lease] = (await store.lease({ pool: "cpu", limit: 1, now, owner: "boot" })).leases;
    if (!lease) break;
    leases.push(lease);
    for (const old of applied) {
      const stale = { ...old, state: "SUCCEEDED" as const };
      assert.deepEqual(await store.settle([stale]), [false], "an old fence is refused");
    }
    const settlement = transition(lease, outcome, policy, { startedAt: now, finishedAt: now + 3 }, () => random);
    assert.deepEqual(await store.settle([settlement]), [true]);
    assert.deepEqual(await store.settle([settlement]), [false], "nothing is settled twice");
    applied.push(settlement);
    now = Math.max(settlement.runAt, now + 1);
  }
  const [stored] = await store.list(everything);
  const { results } = await resultsOf(store);
  await store.close();
  assert.ok(stored);
  return { stored, results, applied, leases, maxAttempts, outcomes };
}

function check(sentence: string, holds: (life: Awaited<ReturnType<typeof live>>) => void): void {
  test(sentence, () =>
    fc.assert(
      fc.asyncProperty(lives, async (life) => holds(await live(life))),
      { numRuns: 300 },
    ),
  );
}

check("whatever happens, a job has at most one final state and as many results", ({ applied, results, stored }) => {
  const finals = applied.filter(({ state }) => isFinal(state));
  assert.ok(finals.length <= 1);
  assert.equal(results.length, finals.length);
  assert.equal(stored.state, finals[0]?.state ?? "QUEUED");
  if (finals[0]) assert.equal(applied.at(-1), finals[0], "nothing follows the final state");
});

check("attempts never pass the bound, and each lease raises attempt and fence", ({ leases, maxAttempts, stored }) => {
  assert.ok(stored.attempts <= maxAttempts);
  leases.forEach((lease, index) => {
    assert.ok(lease.attempt >= 1 && lease.attempt <= maxAttempts);
    assert.equal(lease.fence, index + 1);
  });
});

check("attempts are those that were not given back", ({ outcomes, applied, stored }) => {
  const counted = outcomes.slice(0, applied.length).filter(({ kind }) => kind !== "released").length;
  assert.equal(stored.attempts, counted);
});

check("a job is poison after its third crash, and never before", ({ outcomes, applied, stored }) => {
  const crashes = outcomes.slice(0, applied.length).filter((each) => each.kind === "lost" && each.crashed).length;
  assert.ok(crashes <= poisonAfterCrashes);
  assert.equal(stored.failure?.reason === "poison", crashes === poisonAfterCrashes);
});

check("a retry waits as long as its task asked, otherwise at most the cap", ({ outcomes, applied }) => {
  for (const [index, { state, runAt, finishedAt }] of applied.entries()) {
    const outcome = outcomes[index];
    if (state !== "QUEUED" || !outcome) continue;
    const wish = outcome.kind === "failed" ? outcome.failure.retryAfterMs : undefined;
    if (outcome.kind === "released") assert.equal(runAt, finishedAt);
    else if (wish !== undefined) assert.equal(runAt, finishedAt + wish);
    else assert.ok(runAt >= finishedAt && runAt <= finishedAt + policy.maxBackoffMs);
  }
});
