/** Numbers and names in a job's row, or in what lies around it, that are not those that were written. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Store } from "../../src/store/store.ts";
import { alter, damaged, hex, open, removeStore, sentence, told, useFolder } from "./damaged-store.ts";
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

test("a row of the queue whose deadline was damaged does not make its job expire early", async () => {
  const job = newJob(whole);
  const again = await damaged("UPDATE waiting SET expires_at = expires_at - 8", (store) => submit(store, [job]));
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

test("a job that waits again, was asked to stop or was redriven stands as it was written", async () => {
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
  for (const change of ["last = 9", "acked = 2", "head = 1", "head_at = 0", "head_cursor = 2"]) {
    const store = await open();
    await finish(store, newJobs(3));
    await store.close();
    alter(`UPDATE channel SET ${change}`);
    await assert.rejects(open(), { message: /the positions of channel 1 do not match their checksum/ }, change);
    await removeStore();
  }
});

/** Gives the rows of a table another's bytes. */
const swapped = (table: "job" | "ended", column: "record" | "ending") =>
  `CREATE TEMP TABLE before AS SELECT seq, ${column} AS bytes FROM ${table};
   UPDATE ${table} SET ${column} = (SELECT bytes FROM temp.before WHERE before.seq <> ${table}.seq)`;

test("a record that is another job's is a damaged one: neither job runs with the other's input", async () => {
  for (const size of [3, 100_000]) {
    const jobs = [newJob({ input: data(size) }), newJob({ client: "bob", input: data(size) })];
    const again = await damaged(swapped("job", "record"), (store) => submit(store, jobs));
    const leases = await leaseAll(again);
    assert.deepEqual(
      leases.map(({ id, client, damage }) => [id, client, damage?.reason]),
      jobs.map(({ id, client }) => [id, client, "damaged"]),
    );
    const read = await again.get({ client: "ada", id: jobs[0]!.id });
    assert.deepEqual([read?.id, read?.input, read?.failure?.reason], [jobs[0]!.id, null, "damaged"]);
    const { jobs: listed } = await again.list(everything);
    assert.deepEqual(
      listed.map(({ id, failure }) => [id, failure?.reason]),
      [[jobs[0]!.id, "damaged"]],
    );
    await again.close();
    await removeStore();
  }
});

test("a result that is another job's is a damaged one", async () => {
  const jobs = [newJob(), newJob({ client: "bob" })];
  const again = await damaged(swapped("ended", "ending"), (store) => finish(store, jobs, { output: data(50) }));
  for (const { client, id } of jobs) {
    const { results } = await resultsOf(again, 0, "default", client);
    assert.deepEqual(
      results.map((result) => [result.id, result.output, result.failure?.reason]),
      [[id, null, "damaged"]],
    );
    const read = await again.get({ client, id });
    assert.deepEqual([read?.output, read?.failure?.reason], [null, "damaged"]);
  }
  await again.close();
});

test("a result whose row names another channel is not delivered there", async () => {
  const jobs = [newJob(), newJob({ client: "bob" })];
  const again = await damaged("UPDATE ended SET channel = 2, cursor = 2 WHERE channel = 1", (store) =>
    finish(store, jobs, { output: data(50) }),
  );
  const { results } = await resultsOf(again, 0, "default", "bob");
  assert.deepEqual(
    results.map(({ output, failure }) => [output?.bytes.length, failure?.reason]),
    [
      [50, undefined],
      [undefined, "damaged"],
    ],
  );
  await again.close();
});

test("a job whose id was damaged is not run", async () => {
  const job = newJob();
  const again = await damaged("UPDATE job SET id = x'00112233445566778899aabbccddeeff'", (store) =>
    submit(store, [job]),
  );
  const [lease] = await leaseAll(again);
  assert.equal(lease?.damage?.reason, "damaged");
  await again.close();
});

test("a job that succeeded is not redriven when its row says that it is dead, and a list says that it is damaged", async () => {
  const job = newJob();
  const again = await damaged("UPDATE ended SET state = 3", (store) => finish(store, [job]));
  const { jobs } = await again.list(everything);
  assert.equal(jobs[0]?.failure?.message, sentence("state", job.id));
  assert.deepEqual(await again.redrive({ client: "ada", now: t0, jobs: [{ id: job.id, runAt: t0 }] }), [
    { kind: "not_dead", state: "SUCCEEDED" },
  ]);
  await again.close();
});

test("a job whose pool was damaged is counted where it was, and its result comes to its channel", async () => {
  for (const end of ["settle", "cancel"] as const) {
    const job = newJob();
    const again = await damaged("UPDATE job SET pool = 77", async (store) => {
      await submit(store, [job]);
      if (end === "settle") await leaseAll(store);
    });
    if (end === "cancel") await again.cancel({ client: "ada", ids: [job.id], now: t0 });
    else await again.settle([settlement((await again.expired({ now: t0, limit: 9 }))[0]!, died)]);
    const ended = { QUEUED: 0, RUNNING: 0, SUCCEEDED: 0, DEAD: 0, CANCELLED: 0 };
    assert.deepEqual((await again.counts()).pools, [
      { pool: "cpu", ...ended, ...(end === "cancel" ? { CANCELLED: 1 } : { DEAD: 1 }) },
    ]);
    assert.deepEqual(
      (await resultsOf(again)).results.map(({ id }) => id),
      [job.id],
    );
    await again.close();
    await removeStore();
  }
});
