/** Numbers and names in a job's row, or in what lies around it, that are not those that were written. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Store } from "../../src/store/store.ts";
import { alter, open, removeStore, sentence, told, useFolder } from "./damaged-store.ts";
import {
  asBoot1,
  bad,
  died,
  finish,
  leaseAll,
  newJob,
  newJobs,
  pruneNothing,
  resultsOf,
  retried,
  settlement,
  t0,
  submit,
} from "./sample.ts";

useFolder();

/** The store with what was put into it, opened again after the closed file was changed. */
async function damaged(sql: string, put: (store: Store) => Promise<unknown>): Promise<Store> {
  const store = await open();
  await put(store);
  await store.close();
  alter(sql);
  return open();
}

const leaseOverdue = async (store: Store, pool: string) =>
  (await store.lease({ pool, limit: 9, now: t0 * 2, ...asBoot1, onlyExpired: true })).leases;

const whole = { expiresAt: t0 + 9, idempotencyKey: "key", trace: "00-1", timeoutMs: 5 };

test("a waiting job of which anything was damaged is not run, and says so", async () => {
  const changes = {
    input: [
      ...["client = 'bob'", "task = 'other'", "pool = 'cpu2'", "channel = 2", "channel = 0", "max_attempts = 5"],
      ...["submitted_at = submitted_at - 1", "trace = NULL", "priority = 1", "idempotency_key = 'kez'"],
      ...["options = NULL", "input_kind = 1", "input_type = 'x'"],
    ],
    state: [
      "attempt = 2",
      "fence = 3",
      "crashes = 1",
      "cancelling = 1",
      "redrives = 1",
      "expires_at = expires_at + 64",
      "expires_at = NULL",
    ],
  };
  for (const side of ["input", "state"] as const) {
    for (const change of changes[side]) {
      const job = newJob(whole);
      const again = await damaged(`UPDATE job SET ${change} WHERE id = '${job.id}'`, (store) =>
        submit(store, [job, newJob({ client: "bob", pool: "gpu" })]),
      );
      const [lease] = await leaseAll(again, change === "pool = 'cpu2'" ? "cpu2" : "cpu");
      assert.deepEqual([lease?.input, lease?.damage?.message], [null, sentence(side, job.id)], change);
      assert.deepEqual(told.splice(0), [sentence(side, job.id)]);
      await again.settle([settlement(lease!, retried)]); // handed back before it began
      const [next] = await leaseAll(again, lease!.pool);
      assert.deepEqual([next?.input, next?.damage?.message], [null, sentence(side, job.id)], `${change}, leased again`);
      await again.settle([settlement(next!, died)]);
      assert.deepEqual(await leaseOverdue(again, lease!.pool), [], `${change}, and no more`);
      assert.deepEqual((await resultsOf(again, 0, "default", "bob")).results, [], "another client has nothing of it");
      await again.close();
      await removeStore();
    }
  }
});

test("a job whose fence was made smaller ends all the same, also when it is redriven", async () => {
  const job = newJob();
  const again = await damaged("UPDATE job SET fence = 0", (store) => finish(store, [job], retried));
  for (const _ of ["damaged", "redriven"]) {
    const [lease] = await leaseAll(again);
    assert.equal(lease?.damage?.message, sentence("state", job.id));
    assert.deepEqual(await again.settle([settlement(lease, died)]), ["written"]);
    await again.redrive({ client: "ada", now: t0, jobs: [{ id: job.id, runAt: t0 }] });
  }
  await again.close();
});

test("redriving a job whose numbers were damaged does not make them right", async () => {
  const job = newJob();
  const again = await damaged("UPDATE job SET redrives = 64", (store) => finish(store, [job], died));
  await again.redrive({ client: "ada", now: t0, jobs: [{ id: job.id, runAt: t0 }] });
  const [lease] = await leaseAll(again);
  assert.equal(lease?.damage?.message, sentence("state", job.id));
  await again.close();
});

test("a row of the deadlines that was damaged does not make its job expire early", async () => {
  const job = newJob(whole);
  const again = await damaged("UPDATE deadline SET expires_at = expires_at - 8", (store) => submit(store, [job]));
  const { leases } = await again.lease({ pool: "cpu", limit: 9, now: t0 + 5, ...asBoot1, onlyExpired: true });
  assert.deepEqual(leases, []);
  assert.equal((await leaseAll(again))[0]?.damage, undefined);
  await again.close();
});

test("a final job whose channel was damaged is redriven, removed and pruned without harm to the channel that it names", async () => {
  for (const channel of [0, 2]) {
    const store = await open();
    const jobs = newJobs(3);
    const ofBob = newJob({ client: "bob" });
    await finish(store, jobs, died);
    await finish(store, [ofBob]);
    await store.close();
    alter(`UPDATE job SET channel = ${channel} WHERE client = 'ada'`);
    const again = await open();
    await again.redrive({ client: "ada", now: t0, jobs: [{ id: jobs[0]!.id, runAt: t0 }] });
    assert.deepEqual(await again.remove({ client: "ada", ids: [jobs[1]!.id] }), [{ kind: "removed" }]);
    await again.prune({ ...pruneNothing, maxDead: { jobs: 0, bytes: 0 } });
    const { results } = await resultsOf(again, 0, "default", "bob");
    assert.ok(results.some(({ id }) => id === ofBob.id));
    const others = results.filter(({ id }) => id !== ofBob.id);
    assert.ok(others.every(({ output, failure }) => output === null && failure?.reason === "damaged"));
    await again.close();
    await removeStore();
  }
});

test("a job without a deadline that has one by damage does not expire", async () => {
  const job = newJob();
  const again = await damaged("UPDATE job SET expires_at = 0", (store) => submit(store, [job]));
  const [lease] = await leaseAll(again);
  assert.equal(lease?.damage?.message, sentence("state", job.id));
  await again.close();
});

test("a damaged job that is cancelled while it waits says so in its result", async () => {
  const job = newJob();
  const again = await damaged("UPDATE job SET attempt = 64", (store) => submit(store, [job]));
  await again.cancel({ client: "ada", ids: [job.id], now: t0 });
  const [result] = (await resultsOf(again)).results;
  assert.deepEqual([result?.state, result?.failure?.message], ["CANCELLED", sentence("state", job.id)]);
  await again.close();
});

test("a damaged job that is cancelled is told, and its result comes to nobody else", async () => {
  for (const change of ["submitted_at = submitted_at - 1024", "channel = 0", "channel = 2"]) {
    const job = newJob();
    const again = await damaged(`UPDATE job SET ${change} WHERE id = '${job.id}'`, (store) =>
      submit(store, [job, newJob({ client: "bob" })]),
    );
    assert.equal((await again.cancel({ client: "ada", ids: [job.id], now: t0 }))[0]?.kind, "cancelled");
    assert.deepEqual(told.splice(0), [sentence("state", job.id)]);
    assert.deepEqual((await resultsOf(again, 0, "default", "bob")).results, []);
    await again.close();
    await removeStore();
  }
});

test("a job that waits again, was told to stop or was redriven stands as it was written", async () => {
  const store = await open();
  const [again, redriven] = [newJob(whole), newJob()];
  await submit(store, [again, redriven]);
  const leases = await leaseAll(store);
  await store.settle([
    settlement(leases[0]!, { ...retried, crashes: 1 }),
    settlement(leases[1]!, { ...died, state: "DEAD" }),
  ]);
  await store.redrive({ client: "ada", now: t0, jobs: [{ id: redriven.id, runAt: t0 }] });
  const next = await leaseAll(store);
  const cancel = { client: "ada", ids: [again.id, again.id], now: t0, failure: bad };
  await store.cancel(cancel);
  await store.cancel(cancel);
  await store.close();

  const reopened = await open();
  const lost = await reopened.expired({ now: t0, limit: 9 });
  assert.deepEqual(
    lost.map(({ attempt, damage }) => [attempt, damage]),
    next.map(({ attempt }) => [attempt, undefined]),
  );
  assert.deepEqual(
    next.map(({ attempt }) => attempt),
    [2, 1],
  );
  assert.deepEqual(told, []);
  await reopened.close();
});

test("a file whose channel has not the positions that were written is refused, whatever its size", async () => {
  for (const change of [
    "last = 9",
    "acked = 2",
    "swept = 1",
    "formers = 1",
    "head = 1",
    "head_at = 0",
    "head_cursor = 2",
  ]) {
    const store = await open();
    await finish(store, newJobs(3));
    await store.close();
    alter(`UPDATE channel SET ${change}`);
    await assert.rejects(open(), { message: /the positions of channel 1 do not match their sum/ }, change);
    await removeStore();
  }
});
