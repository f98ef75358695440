import assert from "node:assert/strict";
import { describe, test, type TestContext } from "node:test";
import { createBacklog } from "../../../src/engine/admit/backlog.ts";
import { createReaper, recoverLost } from "../../../src/engine/upkeep/reaper.ts";
import { createSettler } from "../../../src/engine/settle/settler.ts";
import { defaultRetryPolicy } from "../../../src/job/backoff.ts";
import { type Lease, suspectAfterCrashes } from "../../../src/job/job.ts";
import { isUnavailable } from "../../../src/errors.ts";
import { createMemoryStore } from "../../../src/store/memory.ts";
import type { Store } from "../../../src/store/store.ts";
import { createFakeClock, turn } from "../../support/fake-clock.ts";
import { keptLog } from "../../support/samples.ts";
import { everything, newJobs, submit, t0 } from "../../store/sample.ts";

const leaseMs = 30_000;

/** A store and what a process does with it. */
function open() {
  const store = createMemoryStore();
  const clock = createFakeClock(t0);
  const calls: string[] = [];
  const backlog = createBacklog(store, new Map([["cpu", 1_000_000]]));
  const lease = (owner: string, limit = 10_000, suspects = false) =>
    store.lease({ pool: "cpu", suspects, limit, now: clock.now(), owner, leaseMs });

  const watched: Pick<Store, "settle"> = {
    async settle(settlements) {
      const applied = await store.settle(settlements);
      calls.push(`settled ${applied.filter((each) => each === "written").length}`);
      return applied;
    },
  };
  const { settle, flush } = createSettler({
    ...{ store: watched, backlog, clock, leaseMs, log: keptLog().log },
    policyOf: () => ({ ...defaultRetryPolicy, jitter: "none" }),
    random: () => 0,
    onCaughtUp() {},
    onSettled() {},
    onDeath() {},
    onError: (error) => assert.fail(String(error)),
  });
  /** What a start does once the process before is known to be gone. */
  const recover = async (owner = "dead") => {
    await store.recover({ owner });
    return recoverLost({ store, clock, settle, flush });
  };
  return { store, clock, lease, recover, calls, backlog, settle, flush };
}

/** A reaper that runs, in a process that calls itself `new`. */
async function openReaper(t: TestContext, overrides: Partial<Parameters<typeof createReaper>[0]> = {}) {
  const opened = open();
  const { store, clock, backlog, settle } = opened;
  const held: Lease[] = [];
  const errors: unknown[] = [];
  const reaper = createReaper({
    ...{ store, clock, backlog, settle, leaseMs, owner: "new" },
    pools: () => ["cpu", "old"],
    held: () => held,
    isBehind: () => false,
    onError(error) {
      errors.push(error);
      return isUnavailable(error) ? 500 : undefined;
    },
    ...overrides,
  });
  await reaper.start();
  t.after(() => reaper.stop());
  return {
    ...{ ...opened, reaper, held, errors },
    /** Lets the reaper look so many times. */
    async look(times = 1) {
      for (let looks = 0; looks < times; looks += 1) {
        await turn(); // a look under way comes to its end
        clock.advance(1_000);
        for (let turns = 0; turns < 30; turns += 1) await turn();
      }
    },
    count: async () => (await store.counts()).pools.find(({ pool }) => pool === "cpu"),
  };
}

describe("recovery at a start", () => {
  test("a job of which something is damaged fails with that, whatever else it would end with", async () => {
    const { store, clock, lease, settle, flush } = open();
    const damage = { reason: "damaged", message: "does not match its checksum", retryable: false };
    await submit(store, newJobs(2));
    const { leases } = await lease("dead");
    await store.cancel({ client: "ada", ids: [leases[1]!.id], now: t0 });
    await store.recover({ owner: "dead" });
    const damaged: Pick<Store, "expired"> = {
      expired: async (request) => (await store.expired(request)).map((each) => ({ ...each, damage })),
    };
    assert.equal(await recoverLost({ store: damaged, clock, settle, flush }), 2);
    const { jobs } = await store.list(everything);
    assert.deepEqual(
      jobs.map(({ id, state, failure, deadReason }) => [id, state, failure?.reason, deadReason]),
      [
        [leases[1]!.id, "CANCELLED", "cancelled", null],
        [leases[0]!.id, "DEAD", "damaged", "permanent"],
      ],
    );
  });

  test("jobs of a process that died are given back, after a backoff, with their attempt and crash counted", async () => {
    const { store, clock, lease, recover } = open();
    await submit(store, newJobs(3));
    await lease("dead", 2);
    assert.equal(await recover(), 2);
    assert.deepEqual(
      (await lease("new")).leases.map(({ attempt, crashes }) => [attempt, crashes]),
      [[1, 0]],
    );
    clock.advance(100);
    assert.deepEqual(
      (await lease("new")).leases.map(({ attempt, crashes }) => [attempt, crashes]),
      [
        [2, 1],
        [2, 1],
      ],
    );
  });

  test("jobs of this process are left alone", async () => {
    const { store, lease, recover } = open();
    await submit(store, newJobs(2));
    await lease("new");
    assert.equal(await recover(), 0);
    assert.equal((await store.counts()).pools[0]?.RUNNING, 2);
  });

  test("it is durable when it is done, however many there are", async () => {
    const { store, lease, recover, calls } = open();
    await submit(store, newJobs(2500));
    await lease("dead");
    assert.equal(await recover(), 2500);
    assert.deepEqual(calls, ["settled 1000", "settled 1000", "settled 500"]);
    assert.equal((await store.counts()).pools[0]?.QUEUED, 2500);
  });

  test("ten deaths of servers make no job poison: it is a suspect after the second, and its attempts go on", async () => {
    const { store, clock, lease, recover } = open();
    await submit(store, newJobs(1, { maxAttempts: 100 }));
    for (let death = 1; death <= 10; death += 1) {
      clock.advance(5000);
      const suspects = death > suspectAfterCrashes;
      assert.equal((await lease(`process ${death}`, 9, !suspects)).leases.length, 0, "it waits in the other line");
      const { leases } = await lease(`process ${death}`, 9, suspects);
      assert.deepEqual(
        leases.map(({ attempt, crashes }) => [attempt, crashes]),
        [[death, Math.min(death - 1, suspectAfterCrashes)]],
      );
      assert.equal(await recover(`process ${death}`), 1);
    }
    const [job] = (await store.list(everything)).jobs;
    assert.deepEqual([job?.state, job?.attempts, job?.failure?.reason], ["QUEUED", 10, "lost"]);
  });

  test("a job on its last attempt is dead as lost", async () => {
    const { store, lease, recover } = open();
    await submit(store, newJobs(1, { maxAttempts: 1 }));
    await lease("dead");
    await recover();
    const [job] = (await store.list(everything)).jobs;
    assert.equal(job?.state, "DEAD");
    assert.equal(job.failure?.reason, "lost");
  });

  test("a store that fails fails the start", async () => {
    const { store, recover } = open();
    await store.close();
    await assert.rejects(recover(), /store failed/);
  });

  test("a store that refuses its settlements fails the start instead of holding it up for ever", async () => {
    const { store, clock, lease, flush } = open();
    await submit(store, newJobs(1));
    await lease("dead");
    await store.recover({ owner: "dead" });
    await assert.rejects(
      recoverLost({ store, clock, flush, settle() {} }),
      /cannot be recovered: its settlement was refused/,
    );
  });
});

describe("leases that ran out", () => {
  test("are settled as lost, not as a crash, within about a second", async (t) => {
    const { store, lease, look, clock } = await openReaper(t);
    await submit(store, newJobs(2));
    await lease("other", 1);
    clock.advance(leaseMs - 1_500);
    await lease("other", 1);
    await look(2);
    const [running, waiting] = (await store.list(everything)).jobs;
    assert.deepEqual([running?.state, waiting?.state, waiting?.failure?.reason], ["RUNNING", "QUEUED", "lost"]);
    clock.advance(5_000);
    assert.equal((await lease("new")).leases[0]?.crashes, 0);
  });

  test("that this process holds are left to the lease-keeper, also after a long standstill", async (t) => {
    const { store, lease, look, clock, held, count } = await openReaper(t);
    await submit(store, newJobs(2));
    const { leases } = await lease("new");
    held.push(leases[0] as Lease);
    clock.advance(leaseMs * 10);
    await look();
    assert.equal((await count())?.RUNNING, 1, "the one that nobody holds is lost, whoever leased it");
  });

  test("under an older fence than the one held are nobody's", async (t) => {
    const { store, lease, look, clock, held, count } = await openReaper(t);
    await submit(store, newJobs(1));
    const [current] = (await lease("new")).leases;
    held.push({ ...(current as Lease), fence: 0 });
    clock.advance(leaseMs);
    await look();
    assert.equal((await count())?.RUNNING, 0);
  });

  test("are settled in bounded pages", async (t) => {
    const { store, lease, look, clock, calls, count } = await openReaper(t);
    await submit(store, newJobs(2_500));
    await lease("other");
    clock.advance(leaseMs);
    await look();
    assert.deepEqual(calls, ["settled 1000", "settled 1000", "settled 500"]);
    assert.equal((await count())?.RUNNING, 0);
  });
});

describe("jobs whose deadline passed while they waited", () => {
  test("are DEAD, although nobody had a worker for them, and wait no more", async (t) => {
    const { store, look, backlog, count } = await openReaper(t);
    const expiresAt = t0 + 500;
    await submit(store, [...newJobs(1, { expiresAt }), ...newJobs(1, { expiresAt, runAt: t0 + 499 }), ...newJobs(1)]);
    await backlog.load();
    await look();
    const dead = (await store.list({ ...everything, state: "DEAD" })).jobs;
    assert.deepEqual(
      dead.map(({ deadReason, attempts, startedAt, failure }) => [deadReason, attempts, startedAt, failure?.reason]),
      [
        ["expired", 0, null, "expired"],
        ["expired", 0, null, "expired"],
      ],
    );
    assert.equal((await count())?.QUEUED, 1);
    assert.equal(backlog.queued("cpu"), 1);
  });

  test("in a pool that is not configured any more are found too", async (t) => {
    const { store, look } = await openReaper(t);
    await submit(store, newJobs(1, { pool: "old", expiresAt: t0 + 500 }));
    await look();
    assert.equal((await store.list(everything)).jobs[0]?.state, "DEAD");
  });

  test("are settled ten pages a look at most", async (t) => {
    const { store, look, calls, count } = await openReaper(t);
    for (let thousand = 0; thousand < 11; thousand += 1) await submit(store, newJobs(1_000, { expiresAt: t0 + 1 }));
    await look();
    assert.equal(calls.length, 10);
    await look();
    assert.equal((await count())?.QUEUED, 0);
  });

  test("wait while outcomes pile up", async (t) => {
    const { store, look, count } = await openReaper(t, { isBehind: () => true });
    await submit(store, newJobs(1, { expiresAt: t0 + 1 }));
    await look();
    assert.equal((await count())?.QUEUED, 1);
  });
});

test("a reaper that was stopped looks no more, and one whose store failed says so once", async (t) => {
  const { reaper, clock, errors, store, look } = await openReaper(t);
  await store.close();
  await look(3);
  assert.equal(errors.length, 1);
  await reaper.stop();
  assert.equal(clock.timers(), 0);
});
