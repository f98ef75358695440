/**
 * Two engines over one store, as two servers are, with every hint dropped: whatever one learns of the other it has polled.
 * The promises of docs/guarantees.md hold for both together.
 */
import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import { fingerprintOf } from "../../src/engine/watch/watchers.ts";
import { createSignal, type Signal } from "../../src/lifecycle.ts";
import { createMemoryStore } from "../../src/store/memory.ts";
import type { Store } from "../../src/store/store.ts";
import { anyJob } from "../store/sample.ts";
import { createFakeClock } from "../support/fake-clock.ts";
import { failedOnce, succeeded } from "../support/samples.ts";
import { draft, drafts } from "./admit/try-admission.ts";
import { follow, openFakeEngine, pass, settle, startFakeEngine } from "./fake-engine.ts";

const leaseMs = 30_000;
/** By then every poll has come, and what follows from it. */
const polledMs = 1_500;
const ada = (id: string) => ({ client: "ada", id });
const idOf = (index: number) => `00000000-0000-7000-8000-${String(index).padStart(12, "0")}`;

/** A store as one process sees it: without hints, and out of reach for a while, when calls wait as if the process slept. */
function seenBy(store: Store) {
  let awake: Signal | undefined;
  const calls = Object.entries(store).map(([name, value]) => {
    if (typeof value !== "function" || name === "subscribe") return [name, value];
    const call = async (request: never) => {
      await awake?.promise;
      return (value as (request: never) => unknown)(request);
    };
    return [name, call];
  });
  return {
    store: { ...(Object.fromEntries(calls) as Store), subscribe: () => () => {} },
    /** True: from now on it does nothing, as if it were dead; false: it goes on, and knows nothing of it. */
    isGone(gone: boolean) {
      awake?.fire();
      awake = gone ? createSignal() : undefined;
    },
  };
}

async function open(t: TestContext, maxQueued = 100_000) {
  const clock = createFakeClock();
  const store = createMemoryStore({ isShared: true });
  const start = async (owner: string) => {
    const { store: seen, isGone } = seenBy(store);
    const opened = openFakeEngine({ store: seen, clock, owner, leaseMs, maxQueued: new Map([["cpu", maxQueued]]) });
    const { pool } = opened;
    await startFakeEngine(t, opened, () => isGone(false));
    return { ...opened, isGone, running: () => pool.held.flatMap(({ leases }) => leases.map(({ id }) => id)) };
  };
  const [one, other] = [await start("one"), await start("other")];
  return {
    ...{ clock, store, one, other },
    pass: (ms: number, afterStep?: () => void) => pass(clock, ms, afterStep),
    stateOf: async (id: string) => (await store.get(ada(id)))?.state,
  };
}

const submit = async ({ engine }: Pick<Awaited<ReturnType<typeof open>>["one"], "engine">, ...ids: number[]) =>
  (
    await engine.admission.admit(
      "ada",
      ids.map((id) => draft({ id: idOf(id) })),
    )
  ).map(({ kind }) => kind);

test("what one accepted the other finds by polling and runs, and its result comes to a reader at the first", async (t) => {
  const { one, other, pass, clock } = await open(t);
  const reader = await follow(one.engine);
  await submit(one, 1);
  await pass(polledMs);
  assert.deepEqual([one.running(), other.running()], [[idOf(1)], []]);
  await submit(one, 2);
  const submittedMs = clock.monotonicMs();
  await pass(polledMs);
  assert.deepEqual([one.running(), other.running()], [[idOf(1)], [idOf(2)]]);
  other.pool.endAll();
  await pass(polledMs);
  assert.deepEqual(
    reader.results.map(({ id, state, cursor }) => [id, state, cursor]),
    [[idOf(2), "SUCCEEDED", 1]],
  );
  assert.ok(clock.monotonicMs() - submittedMs <= 2 * polledMs);
});

test("jobs submitted at both run once each, and every reader at either gets all results in order", async (t) => {
  const { store, one, other, pass } = await open(t);
  const readers = [await follow(one.engine), await follow(other.engine)];
  const runs: string[] = [];
  const jobs = Array.from({ length: 200 }, (_, index) => index);
  await submit(one, ...jobs.filter((index) => index % 2 === 0));
  await submit(other, ...jobs.filter((index) => index % 2 === 1));
  const share = { one: 0, other: 0 };
  await pass(20_000, () => {
    for (const [name, { pool, running }] of Object.entries({ one, other })) {
      runs.push(...running());
      share[name as "one" | "other"] += running().length;
      pool.endAll(succeeded, 5);
    }
  });
  assert.deepEqual(runs.toSorted(), jobs.map(idOf).toSorted(), "once each");
  assert.ok(share.one > 20 && share.other > 20, `${share.one} and ${share.other} of 200 ran at each`);
  for (const { results } of readers) {
    assert.deepEqual(
      results.map(({ cursor }) => cursor),
      jobs.map((index) => index + 1),
    );
    assert.deepEqual(results.map(({ id }) => id).toSorted(), jobs.map(idOf).toSorted());
  }
  await store.ack([{ client: "ada", channel: "default", cursor: 150 }]);
  const late = await follow(other.engine);
  await pass(polledMs);
  assert.deepEqual([late.results[0]?.cursor, late.results.length], [151, 50], "what is acknowledged comes to nobody");
});

test("the same job submitted at both at once is one job, by its id and by its key", async (t) => {
  const { one, other, pass } = await open(t);
  const keyed = draft({ idempotencyKey: "k" });
  const admitted = await Promise.all(
    [one, other].flatMap(({ engine }) => [
      engine.admission.admit("ada", [draft({ id: idOf(1) })]),
      engine.admission.admit("ada", [keyed]),
    ]),
  );
  const [byId, byKey, byIdAgain, byKeyAgain] = admitted.map(([answer]) => (answer?.kind === "refused" ? null : answer));
  assert.deepEqual([byId?.kind, byKey?.kind], ["accepted", "accepted"]);
  assert.deepEqual([byIdAgain?.kind, byKeyAgain?.kind], ["duplicate", "duplicate"]);
  assert.equal(byKeyAgain?.id, byKey?.id);
  const runs: string[] = [];
  await pass(3 * polledMs, () => {
    for (const { pool, running } of [one, other]) {
      runs.push(...running());
      pool.endAll();
    }
  });
  assert.deepEqual(runs.toSorted(), [byId, byKey].map((each) => String(each?.id)).toSorted());
});

test("a job is cancelled at one and stops at the other that runs it, within a third of the lease", async (t) => {
  const { store, one, other, pass, stateOf } = await open(t);
  await submit(one, 1);
  await submit(other, 2);
  await settle();
  await pass(polledMs);
  const [id] = other.running();
  const watch = one.engine.watchers.open("ada", id!, 0);
  assert.equal((await watch.next())?.kind, "changed", "every watch begins so");
  watch.saw(fingerprintOf((await store.states([{ client: "ada", id: id! }]))[0] ?? null));
  const [answer] = await one.engine.canceller.cancel("ada", [id!]);
  assert.equal(answer?.kind, "cancelling");
  assert.deepEqual(other.pool.told, []);
  await pass(leaseMs / 3);
  assert.equal(other.pool.told.length, 1);
  assert.deepEqual(one.pool.told, []);
  other.pool.endAll({ kind: "cancelled" });
  await pass(polledMs);
  assert.equal(await stateOf(id!), "CANCELLED");
  const polled = await Promise.race([watch.next(), settle().then(() => undefined)]);
  assert.equal(polled?.kind, "changed", "found by polling");
  watch.close();
});

test("a cancelled job whose server is gone is never run again", async (t) => {
  const { store, one, other, pass, stateOf } = await open(t);
  await submit(one, 1);
  await pass(polledMs);
  assert.deepEqual(one.running(), [idOf(1)]);
  await other.engine.canceller.cancel("ada", [idOf(1)]);
  one.isGone(true);
  await store.recover({ owner: "one" });
  await pass(2 * polledMs);
  assert.equal(await stateOf(idOf(1)), "CANCELLED");
  assert.deepEqual(other.running(), []);
});

test("a job that died at one is redriven at the other, and runs again", async (t) => {
  const { one, other, pass, stateOf } = await open(t);
  const failure = { reason: "bad", message: "no", retryable: false };
  await submit(one, 1);
  await pass(polledMs);
  one.pool.endAll({ kind: "failed", failure });
  await pass(100);
  assert.equal(await stateOf(idOf(1)), "DEAD");
  const options = { dryRun: false, signal: new AbortController().signal, perSecond: 0 };
  const { redriven } = await other.engine.deadLetters.redriveWhere("ada", anyJob, options);
  assert.equal(redriven, 1);
  await pass(polledMs);
  for (const { pool } of [one, other]) pool.endAll();
  await pass(100);
  assert.equal(await stateOf(idOf(1)), "SUCCEEDED");
});

test("one drains while the other goes on: what runs ends, what waits is run by the other, nothing is counted twice", async (t) => {
  const { store, one, other, pass } = await open(t);
  await submit(one, 1, 2, 3);
  await pass(polledMs);
  one.engine.drain();
  let hasEnded = false;
  void one.engine.ended().then(() => {
    hasEnded = true;
  });
  const [last] = one.running();
  assert.equal(one.running().length, 1);
  await pass(4_000, () => other.pool.endAll());
  assert.deepEqual([one.running(), hasEnded], [[last], false]);
  one.pool.endAll();
  await pass(100);
  assert.equal(hasEnded, true);
  await submit(other, 4);
  await pass(polledMs, () => other.pool.endAll());
  const { jobs } = await store.list({ client: "ada", filter: anyJob, state: null, limit: 9, beforeSeq: null });
  assert.deepEqual(
    jobs.map(({ state, attempts }) => [state, attempts]),
    Array.from({ length: 4 }, () => ["SUCCEEDED", 1]),
  );
});

test("one is killed: once it is recovered by name the other runs its jobs, with the attempt and the crash counted", async (t) => {
  const { store, one, other, pass } = await open(t);
  await submit(one, 1);
  await pass(polledMs);
  one.isGone(true);
  await pass(3 * polledMs);
  assert.deepEqual(other.running(), [], "it may be alive");
  await store.recover({ owner: "one" });
  await pass(2 * polledMs);
  const [again] = other.pool.held.flatMap(({ leases }) => leases);
  assert.deepEqual([again?.id, again?.attempt, again?.crashes, again?.fence], [idOf(1), 2, 1, 2]);
  other.pool.endAll();
  await pass(100);
  one.isGone(false); // it was not dead after all, and settles what it ran
  one.pool.endAll(failedOnce);
  await pass(polledMs);
  const job = await store.get(ada(idOf(1)));
  assert.deepEqual([job?.state, job?.attempts, job?.cursor], ["SUCCEEDED", 2, 1], "its fence is old");
});

test("one stands still for longer than its leases: the other runs its jobs, and it stops its own when it wakes up", async (t) => {
  const { store, one, other, pass } = await open(t);
  const reader = await follow(other.engine);
  await submit(one, 1);
  await pass(polledMs);
  one.isGone(true);
  await pass(leaseMs + 2 * polledMs);
  assert.deepEqual(other.running(), [idOf(1)]);
  assert.equal(other.pool.held[0]?.leases[0]?.crashes, 0, "nobody died");
  one.isGone(false);
  await pass(leaseMs / 3 + polledMs);
  assert.deepEqual([new Set(one.pool.told), other.pool.told], [new Set([1]), []]);
  one.pool.endAll({ kind: "cancelled" });
  other.pool.endAll();
  await pass(polledMs);
  assert.deepEqual(
    reader.results.map(({ state, attempts }) => [state, attempts]),
    [["SUCCEEDED", 2]],
  );
  assert.equal((await store.counts()).pools[0]?.RUNNING, 0);
});

test("a pool paused at one is paused at the other by its next poll, and so it is resumed; what runs goes on at both", async (t) => {
  const { one, other, pass, stateOf } = await open(t);
  await submit(one, 1, 2);
  await pass(polledMs);
  await submit(other, 3);

  const { after } = await one.engine.poolControl.pause("cpu", "ops");
  await pass(polledMs);

  assert.deepEqual(other.engine.poolControl.overrides("cpu"), after);
  assert.deepEqual([one.running().length, other.running().length], [1, 1], "what runs goes on");
  for (const { pool } of [one, other]) pool.endAll();
  await pass(3 * polledMs);
  assert.deepEqual([one.running(), other.running(), await stateOf(idOf(3))], [[], [], "QUEUED"]);
  assert.equal((await other.engine.explain("ada", idOf(3)))?.cause, "paused");
  const again = await other.engine.poolControl.pause("cpu", "someone else");
  assert.equal(again.after.pause?.by, "ops", "it was paused already");

  await other.engine.poolControl.resume("cpu", "ops");
  await pass(polledMs);

  assert.equal(one.engine.poolControl.overrides("cpu").pause, null);
  const [id] = [...one.running(), ...other.running()];
  assert.equal(id, idOf(3));
});

test("a pool resized at one has the same bounds at the other by its next poll, and so after a reset", async (t) => {
  const { one, other, pass } = await open(t);
  const bounds = () => [one, other].map(({ pool }) => pool.bounds());
  const configured = one.pool.bounds();
  const wanted = { min: 0, max: 3 };
  await one.engine.poolControl.resize("cpu", wanted, "ops");
  await pass(polledMs);
  assert.deepEqual(bounds(), [wanted, wanted]);
  await other.engine.poolControl.resize("cpu", null, "ops");
  await pass(polledMs);
  assert.deepEqual(bounds(), [configured, configured]);
});

test("each sees within a poll how full the queue is that both fill, and how empty the other has made it", async (t) => {
  const { one, other, pass } = await open(t, 10);
  await one.engine.admission.admit("ada", drafts(10));
  await pass(2 * polledMs);
  const waiting = 10 - one.running().length - other.running().length;
  assert.deepEqual([one.engine.backlog.queued("cpu"), other.engine.backlog.queued("cpu")], [waiting, waiting]);
  const admitted = await other.engine.admission.admit("ada", drafts(5));
  const refused = admitted.flatMap((each) => (each.kind === "refused" ? [each.error.reason] : []));
  assert.deepEqual(
    refused,
    Array.from({ length: 5 - (10 - waiting) }, () => "queue_full"),
  );
  await pass(10_000, () => other.pool.endAll());
  assert.equal(one.engine.backlog.queued("cpu"), 0);
});
