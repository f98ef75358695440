/** Numbers and names in a job's row, or in what lies around it, that are not those that were written. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { StoredJob } from "../../src/job/job.ts";
import { checksum } from "../../src/store/sqlite/integrity/checked-rows.ts";
import { jobsPerPage } from "../../src/store/sqlite/jobs/queue-repair.ts";
import type { Store } from "../../src/store/store.ts";
import { alter, hex, open, query, removeStore, sentence, told, useFolder } from "./damaged-store.ts";
import {
  asBoot1,
  data,
  died,
  everything,
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
  const ofJob = [
    ...["client = client + 1", "task = 99", "pool = pool + 1", "channel = 2", "channel = 0", "priority = 1"],
    ...["submitted_at = submitted_at - 1", "run_at = run_at + 64", "expires_at = expires_at + 64", "expires_at = NULL"],
  ];
  for (const change of ofJob) {
    const job = newJob(whole);
    const again = await damaged(`UPDATE job SET ${change} WHERE id = x'${hex(job.id)}'`, (store) =>
      submit(store, [job, newJob({ client: "bob", pool: "gpu" })]),
    );
    await assertDamagedTwice(again, "state", job.id, change);
  }
});

test("so is one whose record was damaged, in whichever of its columns", async () => {
  for (const [change, size] of [
    ["record = CAST(substr(record, 2) AS BLOB)", 9],
    ["record = CAST(x'00' || substr(record, 2) AS BLOB)", 9],
    ["rest = CAST(x'00' || substr(rest, 2) AS BLOB)", 100_000],
    ["rest = NULL", 100_000],
  ] as const) {
    const job = newJob({ input: data(size) });
    const again = await damaged(`UPDATE job SET ${change}`, (store) => submit(store, [job]));
    await assertDamagedTwice(again, "input", job.id, change);
  }
});

test("a list shows nothing that was damaged, and the calls beside it are answered", async () => {
  const job = newJob({ input: data(100_000), labels: { size: "long" } });
  const store = await open();
  await submit(store, [job]);
  await store.close();
  for (let byte = 1; byte < 60; byte += 1) {
    // one byte more each time
    alter(
      `UPDATE job SET record = CAST(substr(record, 1, ${byte - 1}) || x'ff' || substr(record, ${byte + 1}) AS BLOB)`,
    );
    const again = await open();
    const [{ jobs }, { pools }] = await Promise.all([again.list(everything), again.counts()]);
    assert.deepEqual([jobs.length, pools[0]?.QUEUED], [1, 1]);
    const [{ id, client, task, channel, submittedAt, labels }] = jobs as [StoredJob];
    assert.deepEqual([id, client, task, channel, submittedAt], [job.id, "ada", "echo", "default", t0]);
    assert.deepEqual(labels, {}, "what only the record says is left out");
    await again.close();
  }
});

test("and one that waits for another attempt and does not know of the ones before", async () => {
  for (const change of ["attempt = 2", "fence = 3", "crashes = 1", "redrives = 1", "started_at = 5", "run_at = 0"]) {
    const job = newJob();
    const again = await damaged(`UPDATE progress SET ${change}`, (store) => finish(store, [job], retried));
    await assertDamagedTwice(again, "state", job.id, change);
  }
});

/** A damaged job is leased without its input, also when it comes back, ends once, and its result comes to nobody else. */
async function assertDamagedTwice(store: Store, side: "input" | "state", id: string, change: string): Promise<void> {
  const [lease] = await leaseAll(store);
  assert.deepEqual([lease?.record.length, lease?.damage?.message], [0, sentence(side, id)], change);
  assert.deepEqual(told.splice(0), [sentence(side, id)]);
  await store.settle([settlement(lease!, retried)]);
  const [next] = await leaseAll(store);
  assert.deepEqual([next?.record.length, next?.damage?.message], [0, sentence(side, id)], `${change}, leased again`);
  await store.settle([settlement(next!, died)]);
  assert.deepEqual(await leaseOverdue(store, "cpu"), [], `${change}, and no more`);
  assert.deepEqual((await resultsOf(store, 0, "default", "bob")).results, [], "another client has nothing of it");
  await store.close();
  await removeStore();
}

test("a row of the queue that was damaged costs no job its turn, and gives none two", async () => {
  for (const change of ["seq = 2", "seq = 9", "priority = 5", "run_at = 1", "checksum = 0"]) {
    const jobs = newJobs(3);
    const again = await damaged(`UPDATE OR REPLACE waiting SET ${change} WHERE seq = 1`, (store) =>
      submit(store, jobs),
    );
    const leased = [...(await leaseAll(again)), ...(await leaseAll(again))];
    assert.deepEqual(
      leased.map(({ id, damage }) => [id, damage]).toSorted(([a = ""], [b = ""]) => (a < b ? -1 : 1)),
      jobs.map(({ id }) => [id, undefined]),
      change,
    );
    assert.equal(told.splice(0).length, 1, change);
    await again.settle(leased.map((lease) => settlement(lease)));
    assert.deepEqual(await leaseAll(again), []);
    await again.close();
    await removeStore();
  }
});

test("a job whose fence was made smaller ends all the same, also when it is redriven", async () => {
  const job = newJob();
  const again = await damaged("UPDATE progress SET fence = 0", (store) => finish(store, [job], retried));
  for (const message of [sentence("state", job.id), undefined]) {
    const [lease] = await leaseAll(again);
    assert.equal(lease?.damage?.message, message);
    assert.deepEqual(await again.settle([settlement(lease!, died)]), ["written"]);
    await again.redrive({ client: "ada", now: t0, jobs: [{ id: job.id, runAt: t0 }] });
  }
  await again.close();
});

test("redriving a job whose numbers were damaged does not make them right", async () => {
  const job = newJob();
  const again = await damaged("UPDATE ended SET redrives = 64", (store) => finish(store, [job], died));
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
    alter(`UPDATE ended SET channel = ${channel} WHERE channel = 1`);
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
  const again = await damaged("UPDATE job SET priority = 64", (store) => submit(store, [job]));
  await again.cancel({ client: "ada", ids: [job.id], now: t0 });
  const [result] = (await resultsOf(again)).results;
  assert.deepEqual([result?.state, result?.failure?.message], ["CANCELLED", sentence("state", job.id)]);
  await again.close();
});

test("a damaged job that is cancelled is told, and its result comes to nobody else", async () => {
  for (const change of ["submitted_at = submitted_at - 1024", "channel = 0", "channel = 2"]) {
    const job = newJob();
    const again = await damaged(`UPDATE job SET ${change} WHERE id = x'${hex(job.id)}'`, (store) =>
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
  const cancel = { client: "ada", ids: [again.id, again.id], now: t0 };
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

test("a file whose names or leases are not those that were written is refused, whatever its size", async () => {
  for (const [change, sentence] of [
    ["UPDATE name SET text = 'adb' WHERE text = 'ada'", /the name "adb" does not match its checksum/],
    ["UPDATE lease SET jobs = '[2]'", /the leases of row 1 do not match their checksum/],
    ["UPDATE lease SET owner = 'boot-2'", /the leases of row 1 do not match their checksum/],
  ] as const) {
    const store = await open();
    await submit(store, newJobs(3));
    await leaseAll(store);
    await store.close();
    alter(change);
    await assert.rejects(open(), { message: sentence }, change);
    await removeStore();
  }
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
    await assert.rejects(open(), { message: /the positions of channel 1 do not match their checksum/ }, change);
    await removeStore();
  }
});

/** A file of which the queue is not compared when it is opened. */
const fillFile = (store: Store) => submit(store, [newJob({ pool: "other", input: data(33 * 2 ** 20) })]);

/** The jobs of both pools that lease calls give, one call after the other. */
async function leaseEach(store: Store): Promise<string[]> {
  const ids: string[] = [];
  for (const pool of ["cpu", "gpu", "cpu", "gpu"]) {
    for (const suspects of [false, true]) {
      const { leases } = await store.lease({ pool, limit: 9, now: t0 * 2, ...asBoot1, suspects });
      ids.push(...leases.map(({ id }) => id));
    }
  }
  return ids.toSorted();
}

test("rows of the queue that are damaged in two pools cost no job its turn, in a file of any size", async () => {
  for (const isLarge of [false, true]) {
    const jobs = [newJob(), newJob({ pool: "gpu" })];
    const again = await damaged("UPDATE waiting SET checksum = checksum + 1", async (store) => {
      await submit(store, jobs);
      if (isLarge) await fillFile(store);
    });
    assert.deepEqual(
      await leaseEach(again),
      jobs.map(({ id }) => id),
    );
    await again.close();
    await removeStore();
  }
});

test("a row of the queue that no lease call would meet, or that is gone, costs no job its turn", async () => {
  for (const change of [
    ...["UPDATE waiting SET pool = pool + 64", "UPDATE waiting SET run_at = run_at + 1099511627776"],
    ...["UPDATE waiting SET is_suspect = 2", "DELETE FROM waiting"],
  ]) {
    const job = newJob();
    const again = await damaged(change, (store) => submit(store, [job]));
    assert.deepEqual([await leaseEach(again), told.splice(0).length], [[job.id], 1], change);
    await again.close();
    assert.deepEqual(told, [], "once");
    await (await open()).close();
    assert.deepEqual(told, [], "and the queue is whole again");
    await removeStore();
  }
});

test("a large queue is repaired page by page, and each call asks to be called again at once", async () => {
  const store = await open();
  for (let stored = 0; stored <= jobsPerPage; stored += 1_000) await submit(store, newJobs(1_000));
  await store.close();
  alter("DELETE FROM waiting WHERE seq > 1");
  const again = await open();
  const lease = { pool: "cpu", limit: jobsPerPage + 1_000, now: t0, ...asBoot1 };
  const first = await again.lease(lease);
  assert.deepEqual([first.leases.length, first.nextDueAt], [jobsPerPage, t0]);
  const second = await again.lease(lease);
  assert.deepEqual([second.leases.length, second.nextDueAt], [1_000, null]);
  await again.close();
});

test("a running job whose channel is damaged ends, and its result comes to nobody else", async () => {
  for (const channel of [2, 999]) {
    const [job, ofBob] = [newJob(), newJob({ client: "bob" })];
    const again = await damaged(`UPDATE job SET channel = ${channel} WHERE id = x'${hex(job.id)}'`, async (store) => {
      await submit(store, [job, ofBob]);
      await leaseAll(store);
    });
    const lost = (await again.expired({ now: t0, limit: 9 })).find(({ id }) => id === job.id)!;
    assert.equal(lost.damage?.message, sentence("state", job.id));
    assert.deepEqual(await again.settle([settlement(lost, died)]), ["written"]);
    assert.deepEqual((await resultsOf(again, 0, "default", "bob")).results, []);
    await again.close();
    await removeStore();
  }
});

const released = { outcome: "released", state: "QUEUED", output: null, attempt: 0 } as const;

test("a running job whose progress is damaged still runs, and one that waits still waits, each once", async () => {
  for (const [change, runs] of [
    ["fence = fence + 16", true],
    ["fence = 0, attempt = 0", false],
  ] as const) {
    const jobs = newJobs(2);
    const again = await damaged(`UPDATE progress SET ${change}`, async (store) => {
      await submit(store, jobs);
      const [lease] = await leaseAll(store);
      await store.settle([settlement(lease!, released)]);
      if (runs) await leaseAll(store);
    });
    const counted = (await again.counts()).pools[0]!;
    const lost = await again.expired({ now: t0, limit: 9 });
    assert.deepEqual([counted.RUNNING, counted.QUEUED], runs ? [2, 0] : [1, 1], change);
    assert.equal(lost.length, counted.RUNNING, change);
    const waiting = await leaseAll(again);
    assert.equal(waiting.length, counted.QUEUED, change);
    const damagedOnes = [...lost, ...waiting].filter(({ damage }) => damage);
    assert.deepEqual(
      damagedOnes.map(({ id }) => id),
      [jobs[0]!.id],
      change,
    );
    await again.close();
    await removeStore();
  }
});

test("a job that has two rows in the queue is leased once by one call", async () => {
  const store = await open();
  await submit(store, [newJob()]);
  await store.close();
  const place = [...(query("SELECT pool, is_suspect, priority FROM waiting") as [number, number, number]), t0 - 5, 1];
  alter(`INSERT INTO waiting VALUES (${[...place, checksum(place)].join()})`);
  const again = await open();
  assert.equal((await leaseAll(again)).length, 1);
  await again.close();
});
