/** What a store has after it was closed and opened again, by another process as it were. */
import assert from "node:assert/strict";
import { after, beforeEach, test } from "node:test";
import type { Store } from "../../src/store/store.ts";
import { createFakeClock } from "../support/fake-clock.ts";
import type { Opened } from "./conformance.ts";
import {
  asBoot1,
  data,
  finish,
  leaseAll,
  listAll,
  newJob,
  newJobs,
  resultsOf,
  retried,
  settlement,
  t0,
  submit,
  bad,
} from "./sample.ts";

export function reopenConformance(open: () => Promise<Opened>): void {
  const all: Opened[] = [];
  let opened: Opened;
  beforeEach(async () => {
    opened = await open();
    all.push(opened);
  });
  after(() => Promise.all(all.map((one) => one.discard())));

  test("jobs, results, acknowledgements and counts are there after reopening", async (t) => {
    if (typeof opened.reopen === "string") return t.skip(opened.reopen);
    const { store } = opened;
    await finish(store, newJobs(3, { input: data(5_000) }), { output: data(6_000) });
    await store.ack([{ client: "ada", channel: "default", cursor: 1 }]);
    await submit(store, [newJob({ runAt: t0 + 9 })]);
    const all = async (from: Store) => [await resultsOf(from), await from.counts(), await listAll(from)];
    const before = await all(store);

    const again = await opened.reopen();

    assert.deepEqual(await all(again), before);
    assert.equal((await resultsOf(again)).results[0]?.cursor, 2);
    const next = await again.lease({ pool: "cpu", limit: 1, now: t0 + 9, ...asBoot1, owner: "boot-2" });
    assert.equal(next.leases[0]?.seq, 4);
  });

  test("a pool that was paused and resized still is", async (t) => {
    if (typeof opened.reopen === "string") return t.skip(opened.reopen);
    const resize = { min: 0, max: 9, by: "ops", at: t0, configured: { min: 1, max: 4 } };
    const { after } = await opened.store.override({ pool: "cpu", pause: { by: "ops ☂", at: t0 }, resize });
    assert.deepEqual(await (await opened.reopen()).overrides(), new Map([["cpu", after]]));
  });

  test("a clock that begins at the latest time, because the machine's was set back, delays nothing", async (t) => {
    if (typeof opened.reopen === "string") return t.skip(opened.reopen);
    const { store } = opened;
    const delayMs = 5_000;
    const retryMs = 1_000;
    await submit(store, [newJob({ priority: 2 }), newJob({ priority: 1 }), newJob({ runAt: t0 + delayMs })]);
    const [first] = await leaseAll(store, "cpu", 1);
    const failedAt = t0 + 100;
    await store.settle([settlement(first!, { ...retried, finishedAt: failedAt, runAt: failedAt + retryMs })]);
    const idleUntil = t0 + 400; // a call that writes nothing
    await store.lease({ pool: "none", limit: 1, now: idleUntil, ...asBoot1 });

    const again = await opened.reopen();

    assert.equal(await again.latest(), idleUntil);
    const clock = createFakeClock(t0 - 3_600_000);
    clock.advance(Math.max((await again.latest()) - clock.now(), 0));
    const due = async () =>
      (await again.lease({ pool: "cpu", limit: 9, now: clock.now(), ...asBoot1 })).leases.map(({ seq }) => seq);
    assert.deepEqual(await due(), [2], "what was due is due");
    clock.advance(failedAt + retryMs - idleUntil);
    assert.deepEqual(await due(), [1], "a retry waits for what was left of its backoff");
    clock.advance(t0 + delayMs - clock.now());
    assert.deepEqual(await due(), [3], "and a delayed job for what was left of its delay");
  });

  test("the leases of a dead process are free at once, and keep their owner, fence and wish to cancel", async (t) => {
    if (typeof opened.reopen === "string") return t.skip(opened.reopen);
    const { store } = opened;
    await submit(store, newJobs(2, { expiresAt: t0 + 99 }));
    const [running, cancelled] = await leaseAll(store);
    await store.cancel({ client: "ada", ids: [cancelled!.id], now: t0 });

    const again = await opened.reopen();

    const whole = await again.get({ client: "ada", id: running!.id });
    assert.deepEqual([whole?.state, whole?.attempts, whole?.startedAt], ["RUNNING", 1, null]);
    const holder = { owner: "boot-1", isOwnerGone: true };
    const both = [
      { ...running, ...holder },
      { ...cancelled, isCancelling: true, ...holder },
    ];
    assert.deepEqual(await again.expired({ now: t0, limit: 10 }), both, "before their end");
    const back = { outcome: "lost", state: "QUEUED", failure: bad, output: null } as const;
    assert.deepEqual(
      await again.settle([
        settlement(running!, { ...back, fence: 2 }),
        settlement(running!, back),
        settlement(cancelled!, back),
      ]),
      ["stale", "written", "cancelling"],
    );
    const waiting = await again.get({ client: "ada", id: running!.id });
    assert.deepEqual([waiting?.state, waiting?.history[0]?.attempt], ["QUEUED", 1]);
    const late = { pool: "cpu", limit: 5, now: t0 + 99, ...asBoot1, onlyExpired: true };
    const { leases } = await again.lease(late);
    assert.deepEqual([leases.map(({ seq }) => seq), leases[0]?.fence], [[running!.seq], 2]);
  });
}
