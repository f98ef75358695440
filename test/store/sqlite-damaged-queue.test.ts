/** The queue, and jobs that run: rows of theirs that are not those that were written cost no job its turn, and give none two. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { checksum } from "../../src/store/sqlite/integrity/checked-rows.ts";
import { jobsPerPage } from "../../src/store/sqlite/jobs/queue-repair.ts";
import type { Store } from "../../src/store/store.ts";
import { alter, damaged, hex, open, query, removeStore, sentence, told, useFolder } from "./damaged-store.ts";
import { asBoot1, data, died, finish, leaseAll, newJob, newJobs, resultsOf, settlement, submit, t0 } from "./sample.ts";

useFolder();

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
  const place = [
    ...(query("SELECT pool, is_suspect, priority FROM waiting") as [number, number, number]),
    t0 - 5,
    1,
    null,
  ] as const;
  alter(`INSERT INTO waiting VALUES (${[...place, checksum(place)].map((cell) => cell ?? "NULL").join()})`);
  const again = await open();
  assert.equal((await leaseAll(again)).length, 1);
  await again.close();
});

test("a row of the queue that is older than its job's end gives the job no second turn", async () => {
  const store = await open();
  await finish(store, [newJob()]);
  await store.close();
  const place = [
    ...(query("SELECT pool, 0 AS is_suspect, 0 AS priority, run_at FROM ended") as [number, number, number, number]),
    1,
    null,
  ] as const;
  alter(`INSERT INTO waiting VALUES (${[...place, checksum(place)].map((cell) => cell ?? "NULL").join()})`);
  const again = await open();
  assert.deepEqual([await leaseAll(again), told.length], [[], 1]);
  assert.equal((await again.counts()).pools[0]?.SUCCEEDED, 1);
  await again.close();
});
