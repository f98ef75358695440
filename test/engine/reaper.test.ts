import assert from "node:assert/strict";
import { test } from "node:test";
import { createBacklog } from "../../src/engine/backlog.ts";
import { recoverLost } from "../../src/engine/reaper.ts";
import { createSettler } from "../../src/engine/settler.ts";
import { defaultRetryPolicy } from "../../src/job/backoff.ts";
import { poisonAfterCrashes } from "../../src/job/transition.ts";
import { createMemoryStore } from "../../src/store/memory.ts";
import type { Store } from "../../src/store/store.ts";
import { createFakeClock } from "../support/fake-clock.ts";
import { everything, newJobs, t0 } from "../store/sample.ts";

/** A store and what a starting process does with it. */
function open() {
  const store = createMemoryStore();
  const clock = createFakeClock(t0);
  const calls: string[] = [];
  const lease = (owner: string, limit = 10_000) => store.lease({ pool: "cpu", limit, now: clock.now(), owner });

  function recover(owner: string): Promise<number> {
    const watched: Pick<Store, "settle"> = {
      async settle(settlements) {
        const applied = await store.settle(settlements);
        calls.push(`settled ${applied.filter(Boolean).length}`);
        return applied;
      },
    };
    const { settle, flush } = createSettler({
      store: watched,
      backlog: createBacklog(store, new Map([["cpu", 1_000_000]])),
      policyOf: () => ({ ...defaultRetryPolicy, jitter: "none" }),
      random: () => 0,
      hintResults() {},
      hintPool() {},
      onCaughtUp() {},
      onSettled() {},
      onError: assert.ifError,
    });
    return recoverLost({ store, clock, owner, settle, flush });
  }
  return { store, clock, lease, recover, calls };
}

test("jobs of a process that died are given back, after a backoff, with their attempt and crash counted", async () => {
  const { store, clock, lease, recover } = open();
  await store.submit(newJobs(3));
  await lease("dead", 2);
  assert.equal(await recover("new"), 2);
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
  await store.submit(newJobs(2));
  await lease("new");
  assert.equal(await recover("new"), 0);
  assert.equal((await store.counts()).pools[0]?.RUNNING, 2);
});

test("it is durable when it is done, however many there are", async () => {
  const { store, lease, recover, calls } = open();
  await store.submit(newJobs(2500));
  await lease("dead");
  assert.equal(await recover("new"), 2500);
  assert.deepEqual(calls, ["settled 1000", "settled 1000", "settled 500"]);
  assert.equal((await store.counts()).pools[0]?.QUEUED, 2500);
});

test("a job whose process died each time is dead as poison after the third, with attempts left", async () => {
  const { store, clock, lease, recover } = open();
  await store.submit(newJobs(1, { maxAttempts: 100 }));
  for (let crash = 1; crash <= poisonAfterCrashes; crash += 1) {
    clock.advance(5000);
    assert.equal((await lease(`process ${crash}`)).leases.length, 1, `it runs for the ${crash}. time`);
    assert.equal(await recover(`process ${crash + 1}`), 1);
  }
  const [job] = await store.list(everything);
  assert.equal(job?.state, "DEAD");
  assert.equal(job.failure?.reason, "poison");
});

test("a job on its last attempt is dead as lost", async () => {
  const { store, lease, recover } = open();
  await store.submit(newJobs(1, { maxAttempts: 1 }));
  await lease("dead");
  await recover("new");
  const [job] = await store.list(everything);
  assert.equal(job?.state, "DEAD");
  assert.equal(job.failure?.reason, "lost");
});

test("a store that fails fails the start", async () => {
  const { store, recover } = open();
  await store.close();
  await assert.rejects(recover("new"), /store failed/);
});
