/** Bytes on the disk that are not those that were written: one job's misfortune, never delivered, never silent. */
import assert from "node:assert/strict";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { afterEach, beforeEach, test } from "node:test";
import { openSqliteStore } from "../../src/store/sqlite.ts";
import { mostIndexesBytes } from "../../src/store/sqlite/inspect.ts";
import type { Store } from "../../src/store/store.ts";
import {
  asBoot1,
  bad,
  data,
  died,
  finish,
  leaseAll,
  newJob,
  newJobs,
  resultsOf,
  retried,
  settlement,
  t0,
} from "./sample.ts";

let directory: string;
let path: string;
let told: string[];
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "millpond-damage-"));
  path = join(directory, "jobs.db");
  told = [];
});
afterEach(() => rm(directory, { recursive: true }));

const open = (): Promise<Store> =>
  openSqliteStore({ path, onFailure: (error) => assert.fail(error), onDamage: (sentence) => told.push(sentence) });

/** Flips a bit of the first place that holds this text. */
async function flip(found: string): Promise<void> {
  const content = await readFile(path);
  const at = content.indexOf(found);
  assert.ok(at > 0, "the text is in the file");
  content[at]! ^= 1;
  await writeFile(path, content);
}

function alter(sql: string): void {
  const db = new DatabaseSync(path);
  db.exec(sql);
  db.close();
}

const leaseOverdue = async (store: Store, pool: string) =>
  (await store.lease({ pool, limit: 9, now: t0 * 2, ...asBoot1, onlyExpired: true })).leases;

const sentence = (side: string, id: string) =>
  `the stored ${side} of job ${id} does not match its checksum: the file is damaged`;

test("a job whose input was damaged is leased without it, and says so, and the others go on", async () => {
  const job = newJob({ input: data("needle-in") });
  const others = newJobs(2);
  const store = await open();
  await store.submit([others[0]!, job, others[1]!]);
  await store.close();
  await flip("needle-in");

  const again = await open();
  const leases = await leaseAll(again);
  assert.deepEqual(
    leases.map(({ id, damage }) => [id, damage?.reason]),
    [others[0]!, job, others[1]!].map(({ id }) => [id, id === job.id ? "damaged" : undefined]),
  );
  assert.deepEqual(told, [sentence("input", job.id)]);
  const bad = leases[1]!;
  assert.deepEqual([bad.input, bad.damage], [null, { reason: "damaged", message: told[0], retryable: false }]);
  const kept = await again.get({ client: "ada", id: job.id });
  assert.deepEqual([kept?.state, kept?.input, kept?.failure], ["RUNNING", null, bad.damage]);
  assert.deepEqual(told.length, 1, "told once");
  await again.close();
});

test("a damaged input that was running is given back without it, and the next lease says so too", async () => {
  const job = newJob({ input: data(3_000), expiresAt: t0 + 1 });
  const store = await open();
  await store.submit([job]);
  await leaseAll(store);
  await store.close();
  alter("DELETE FROM payload");

  const again = await open();
  const [lost] = await again.expired({ owner: "boot-2", others: true, now: t0, limit: 9 });
  assert.deepEqual([lost?.id, lost?.input], [job.id, null]);
  await again.settle([settlement(lost!, { ...died, state: "QUEUED", deadReason: null })]);
  const request = { pool: "cpu", limit: 5, now: t0 + 2, ...asBoot1, onlyExpired: true };
  const [next] = (await again.lease(request)).leases;
  assert.deepEqual([next?.input, next?.damage?.reason], [null, "damaged"]);
  assert.deepEqual(told, [sentence("input", job.id)]);
  await again.close();
});

test("a damaged output is delivered as a failure in its place, and never as a success", async () => {
  const store = await open();
  const [damaged, sound] = await finish(store, newJobs(2), { output: data("needle-out") });
  await store.close();
  await flip("needle-out");

  const again = await open();
  const { results } = await resultsOf(again);
  const byId = new Map(results.map((result) => [result.id, result]));
  const bad = results.find(({ state }) => state === "DEAD")!;
  assert.deepEqual([bad.output, bad.failure?.reason, told], [null, "damaged", [sentence("output", bad.id)]]);
  assert.deepEqual(
    results.map(({ cursor }) => cursor),
    [1, 2],
  );
  const good = bad.id === damaged!.id ? sound! : damaged!;
  assert.deepEqual(byId.get(good.id)?.output, data("needle-out"));
  const kept = await again.get({ client: "ada", id: bad.id });
  assert.deepEqual([kept?.output, kept?.failure?.reason], [null, "damaged"]);
  await again.close();
});

test("damaged text does not stop lists, finds, and histories", async () => {
  const store = await open();
  const [dead] = await finish(store, [newJob({ options: { labels: { kind: "night" } } })], died);
  await store.close();
  alter("UPDATE job SET failure = '{', options = '{'; UPDATE past_attempt SET failure = ''");

  const again = await open();
  const filter = {
    task: null,
    pool: null,
    channel: null,
    submittedFrom: null,
    submittedBefore: null,
    deadReason: null,
  };
  const states = ["DEAD"] as const;
  const find = (labels: object, failureReason: string | null) =>
    again.find({
      client: "ada",
      filter: { ...filter, labels: { ...labels }, failureReason },
      states,
      afterSeq: 0,
      limit: 9,
    });
  assert.deepEqual((await find({ kind: "night" }, null)).ids, []);
  assert.deepEqual((await find({}, "bad")).ids, []);
  assert.deepEqual((await find({}, null)).ids, [dead!.id]);
  const job = await again.get({ client: "ada", id: dead!.id });
  assert.deepEqual([job?.failure?.reason, job?.history[0]?.failure.reason], ["damaged", "damaged"]);
  await again.close();
});

test("a result of which anything besides its output was damaged is delivered as a failure too", async () => {
  for (const change of [
    "attempt = 0",
    "state = 3",
    "started_at = started_at + 64",
    "finished_at = finished_at - 1",
    "dead_reason = 1",
    "submitted_at = submitted_at + 1",
    "redrives = 1",
    "options = '{}'",
    "failure = 'x'",
    "output_type = 'x'",
    "task = 'other'",
  ]) {
    const job = newJob();
    const store = await open();
    await finish(store, [job], { output: data("whole") });
    await store.close();
    alter(`UPDATE job SET ${change} WHERE id = '${job.id}'`);

    const again = await open();
    const result = (await resultsOf(again)).results.find(({ id }) => id === job.id);
    assert.deepEqual([result?.state, result?.output, result?.failure?.reason], ["DEAD", null, "damaged"], change);
    assert.equal((await again.get({ client: "ada", id: job.id }))?.failure?.reason, "damaged");
    assert.ok(told.includes(sentence("output", job.id)));
    await again.close();
  }
});

const whole = { expiresAt: t0 + 9, idempotencyKey: "key", trace: "00-1", options: { timeoutMs: 5 } };

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
  for (const [side, each] of Object.entries(changes)) {
    for (const change of each) {
      const job = newJob(whole);
      const store = await open();
      await store.submit([job, newJob({ client: "bob", pool: "gpu" })]);
      await store.close();
      alter(`UPDATE job SET ${change} WHERE id = '${job.id}'`);

      const again = await open();
      const [lease] = await leaseAll(again, change === "pool = 'cpu2'" ? "cpu2" : "cpu");
      assert.deepEqual([lease?.input, lease?.damage?.message], [null, sentence(side, job.id)], change);
      assert.deepEqual(told.splice(0), [sentence(side, job.id)]);
      await again.settle([settlement(lease!, retried)]); // handed back before it began
      const [next] = await leaseAll(again, lease!.pool);
      assert.deepEqual([next?.input, next?.damage?.message], [null, sentence(side, job.id)], `${change}, leased again`);
      await again.settle([settlement(next!, died)]);
      assert.deepEqual(await leaseOverdue(again, lease!.pool), [], `${change}, and no more`);
      const ofBob = { client: "bob", channel: "default", afterCursor: 0, limit: 9, maxBytes: 9_999 };
      assert.deepEqual((await again.results(ofBob)).results, [], "another client has nothing of it");
      await again.close();
      await rm(path);
      await rm(`${path}.commits`);
    }
  }
});

test("a job without a deadline that has one by damage does not expire", async () => {
  const job = newJob();
  const store = await open();
  await store.submit([job]);
  await store.close();
  alter("UPDATE job SET expires_at = 0");
  const again = await open();
  const [lease] = await leaseAll(again);
  assert.equal(lease?.damage?.message, sentence("state", job.id));
  await again.close();
});

test("a damaged job that is cancelled while it waits says so in its result", async () => {
  const job = newJob();
  const store = await open();
  await store.submit([job]);
  await store.close();
  alter("UPDATE job SET attempt = 64");
  const again = await open();
  await again.cancel({ client: "ada", ids: [job.id], now: t0, failure: bad });
  const [result] = (await resultsOf(again)).results;
  assert.deepEqual([result?.state, result?.failure?.message], ["CANCELLED", sentence("state", job.id)]);
  await again.close();
});

test("a job that waits again, was told to stop or was redriven stands as it was written", async () => {
  const store = await open();
  const [again, redriven] = [newJob(whole), newJob()];
  await store.submit([again, redriven]);
  const leases = await leaseAll(store);
  await store.settle([
    settlement(leases[0]!, { ...retried, crashes: 2 }),
    settlement(leases[1]!, { ...died, state: "DEAD" }),
  ]);
  await store.redrive({ client: "ada", now: t0, jobs: [{ id: redriven.id, runAt: t0 }] });
  const next = await leaseAll(store);
  const cancel = { client: "ada", ids: [again.id, again.id], now: t0, failure: bad };
  await store.cancel(cancel);
  await store.cancel(cancel);
  await store.close();

  const reopened = await open();
  const lost = await reopened.expired({ owner: "boot-2", others: true, now: t0, limit: 9 });
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
    await rm(path);
    await rm(`${path}.commits`);
  }
});

test("a small file whose index has not what its table has is refused", async () => {
  const jobs = newJobs(2);
  const store = await open();
  await store.submit(jobs);
  await store.close();
  await flip(jobs[1]!.id);
  await assert.rejects(open(), { message: /jobs\.db is damaged .* \(row 2 missing from index/ });
});

test("in a large file a result whose id was damaged is delivered under the id that it had, and the operator is told once", async () => {
  const job = newJob();
  const store = await open();
  await finish(store, [job], { output: data("whole") });
  await store.submit([newJob({ input: data(mostIndexesBytes) })]);
  await store.close();
  await flip(job.id); // the row's; the index of ids lies behind it

  const again = await open();
  for (let times = 0; times < 2; times += 1) {
    const [result] = (await resultsOf(again)).results;
    assert.deepEqual([result?.id, result?.state, result?.output], [job.id, "SUCCEEDED", data("whole")]);
  }
  assert.deepEqual(told, [
    `the stored id of job ${job.id} is damaged, and its index still has it: the file is damaged`,
  ]);
  await again.close();
});
