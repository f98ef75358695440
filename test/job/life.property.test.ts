import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { RetryPolicy } from "../../src/job/backoff.ts";
import {
  isFinal,
  isSuspect,
  type Lease,
  type Outcome,
  type Settlement,
  suspectAfterCrashes,
} from "../../src/job/job.ts";
import { transition } from "../../src/job/transition.ts";
import { createMemoryStore } from "../../src/store/memory.ts";
import { everything, newJob, resultsOf, settling, submit, t0 } from "../store/sample.ts";

const policy: RetryPolicy = { maxAttempts: 4, baseMs: 100, factor: 2, maxBackoffMs: 5000, jitter: "full" };

const failure = fc.record(
  { reason: fc.constant("r"), message: fc.constant("m"), retryable: fc.boolean(), retryAfterMs: fc.nat(10_000) },
  { requiredKeys: ["reason", "message", "retryable"] },
);
const itsOwnDeath: Outcome = { kind: "lost", died: "own_process", how: "SIGSEGV" };
const lost = (died: "server" | null): Outcome => ({ kind: "lost", died });
const outcomes: fc.Arbitrary<Outcome> = fc.oneof(
  { weight: 1, arbitrary: fc.constant<Outcome>({ kind: "succeeded", output: null }) },
  { weight: 1, arbitrary: fc.constant<Outcome>({ kind: "cancelled" }) },
  { weight: 4, arbitrary: failure.map((each): Outcome => ({ kind: "failed", failure: { ...each, retryable: true } })) },
  { weight: 1, arbitrary: failure.map((each): Outcome => ({ kind: "failed", failure: each })) },
  { weight: 2, arbitrary: fc.constant<Outcome>({ kind: "timed_out", timeoutMs: 10 }) },
  { weight: 6, arbitrary: fc.constantFrom("server" as const, "server" as const, null).map(lost) },
  { weight: 4, arbitrary: fc.constant<Outcome>({ kind: "released" }) },
  { weight: 1, arbitrary: fc.boolean().map((hasStarted): Outcome => ({ kind: "expired", hasStarted })) },
);
const lives = fc.record({
  maxAttempts: fc.integer({ min: 1, max: 6 }),
  outcomes: fc.array(outcomes, { minLength: 1, maxLength: 20 }),
  /** Milliseconds from the submit; null: no deadline. */
  deadline: fc.option(fc.integer({ min: 1, max: 3_000 })),
  /** Before the settlement of which attempt it is cancelled, if at all. */
  cancelledIn: fc.option(fc.nat(10)),
  /** Which attempt ends its own process, if at all and if it runs in one. */
  killsIn: fc.option(fc.nat(10)),
  random: fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
});
type Life = typeof lives extends fc.Arbitrary<infer T> ? T : never;

/** Lives one job's life against the reference store, and after each settlement tries every older one again. */
async function live({ maxAttempts, outcomes, deadline, cancelledIn, killsIn, random }: Life) {
  const store = createMemoryStore();
  const expiresAt = deadline === null ? null : t0 + deadline;
  const job = newJob({ maxAttempts, expiresAt });
  await submit(store, [job]);
  const applied: Settlement[] = [];
  const ended: Outcome[] = [];
  let ownDeaths = 0;
  let serverDeaths = 0;
  const leases: Lease[] = [];
  let now = t0;
  let suspects = false;
  const leaseAt = (now: number, of = suspects) =>
    store.lease({ pool: "cpu", suspects: of, limit: 1, now, owner: "boot", leaseMs: 30_000 });
  for (const [index, drawn] of outcomes.entries()) {
    const early = await leaseAt(now - 1);
    assert.equal(early.leases.length, 0, "nothing is leased before its time");
    const others = await leaseAt(now, !suspects);
    assert.equal(others.leases.length, 0, "nothing is leased in the other line");
    const [lease] = (await leaseAt(now)).leases;
    if (!lease) break;
    leases.push(lease);
    assert.equal(isSuspect(lease), suspects);
    const outcome = suspects && index === killsIn ? itsOwnDeath : drawn;
    ended.push(outcome);
    if (outcome === itsOwnDeath) ownDeaths += 1;
    if (outcome.kind === "lost" && outcome.died === "server") serverDeaths += 1;
    for (const old of applied) {
      const stale = { ...old, state: "SUCCEEDED" as const };
      assert.deepEqual(await store.settle([settling(lease, stale)]), ["stale"], "an old fence is refused");
    }
    const span = { startedAt: now, finishedAt: now + 3 };
    let settlement = transition(lease, outcome, policy, span, () => random);
    if (index === cancelledIn) {
      const [answer] = await store.cancel({ client: job.client, ids: [job.id], now });
      assert.equal(answer?.kind, "cancelling");
      if (settlement.state !== "SUCCEEDED" && settlement.state !== "CANCELLED") {
        assert.deepEqual(
          await store.settle([settling(lease, settlement)]),
          ["cancelling"],
          "cancelled means not tried again",
        );
        settlement = transition({ ...lease, isCancelling: true }, outcome, policy, span, () => random);
      }
    }
    assert.deepEqual(await store.settle([settling(lease, settlement)]), ["written"]);
    assert.deepEqual(await store.settle([settling(lease, settlement)]), ["stale"], "nothing is settled twice");
    applied.push(settlement);
    suspects = isSuspect(settlement);
    now = Math.max(settlement.runAt, now + 1);
  }
  const [stored] = (await store.list(everything)).jobs;
  const { results } = await resultsOf(store);
  await store.close();
  assert.ok(stored);
  const deaths = { ownDeaths, serverDeaths };
  return { stored, results, applied, leases, maxAttempts, outcomes: ended, cancelledIn, expiresAt, ...deaths };
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
  const hasRun = (outcome: Outcome) =>
    outcome.kind !== "released" && (outcome.kind !== "expired" || outcome.hasStarted);
  assert.equal(stored.attempts, outcomes.slice(0, applied.length).filter(hasRun).length);
});

check("a job that was cancelled while it ran has no later attempt", ({ cancelledIn, applied, stored }) => {
  if (cancelledIn === null || applied.length <= cancelledIn) return;
  assert.equal(applied.length, cancelledIn + 1);
  assert.notEqual(stored.state, "QUEUED");
});

check("a job waits for a retry only while its deadline lies behind it", ({ applied, outcomes, expiresAt }) => {
  for (const [index, { state, runAt }] of applied.entries()) {
    if (expiresAt !== null && state === "QUEUED" && outcomes[index]?.kind !== "released") assert.ok(runAt < expiresAt);
  }
});

check("a job that was given back keeps what its last attempt failed with", ({ applied, stored }) => {
  if (applied.at(-1)?.outcome !== "released") return;
  const last = applied.findLast(({ failure }) => failure !== null);
  assert.deepEqual(stored.failure, last?.failure ? { ...last.failure } : null);
});

check("a job is DEAD for a reason, and nothing else has one", ({ applied }) => {
  for (const { state, deadReason } of applied) assert.equal(deadReason !== null, state === "DEAD");
});

check("a job is poison when its own process died, and never for the deaths of servers", (life) => {
  const { ownDeaths, serverDeaths, applied, stored } = life;
  assert.equal(applied.filter(({ deadReason }) => deadReason === "poison").length > 0, stored.deadReason === "poison");
  if (stored.deadReason === "poison") assert.equal(ownDeaths, 1);
  else assert.ok(ownDeaths === 0 || stored.state === "CANCELLED");
  assert.equal(applied.at(-1)?.crashes ?? 0, Math.min(serverDeaths, suspectAfterCrashes) + ownDeaths);
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
