/** Bytes on the disk that are not those that were written: one job's misfortune, never delivered, never silent. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { mostIndexesBytes } from "../../src/store/sqlite/integrity/inspect.ts";
import { alter, flip, hex, open, sentence, told, useFolder } from "./damaged-store.ts";
import { asBoot1, data, died, finish, leaseAll, newJob, newJobs, resultsOf, settlement, t0, submit } from "./sample.ts";

useFolder();

test("a job whose input was damaged is leased without it, and says so, and the others go on", async () => {
  const job = newJob({ input: data("needle-in") });
  const others = newJobs(2);
  const store = await open();
  await submit(store, [others[0]!, job, others[1]!]);
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
  assert.deepEqual([bad.record.length, bad.damage], [0, { reason: "damaged", message: told[0], retryable: false }]);
  const kept = await again.get({ client: "ada", id: job.id });
  assert.deepEqual([kept?.state, kept?.input, kept?.failure], ["RUNNING", null, bad.damage]);
  assert.deepEqual(told.length, 1, "told once");
  await again.close();
});

test("a damaged input that was running is given back without it, and the next lease says so too", async () => {
  const job = newJob({ input: data(100_000), expiresAt: t0 + 1 });
  const store = await open();
  await submit(store, [job]);
  await leaseAll(store);
  await store.close();
  alter("UPDATE job SET rest = NULL");

  const again = await open();
  const [lost] = await again.expired({ now: t0, limit: 9 });
  assert.deepEqual([lost?.id, lost?.record.length, lost?.damage?.reason], [job.id, 0, "damaged"]);
  await again.settle([settlement(lost!, { ...died, state: "QUEUED", deadReason: null })]);
  const request = { pool: "cpu", limit: 5, now: t0 + 2, ...asBoot1, onlyExpired: true };
  const [next] = (await again.lease(request)).leases;
  assert.deepEqual([next?.record.length, next?.damage?.reason], [0, "damaged"]);
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

test("damaged records do not stop lists, finds, and histories", async () => {
  const store = await open();
  const [dead] = await finish(store, [newJob({ labels: { kind: "night" } })], died);
  await store.close();
  alter("UPDATE job SET record = x'0a'; UPDATE ended SET ending = x'0a'; UPDATE past_attempt SET ending = x''");

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

test("numbers beside a result that were damaged change nothing of it, and its job says so", async () => {
  for (const change of [
    ...[
      "attempts = 0",
      "state = 3",
      "started_at = started_at + 64",
      "finished_at = finished_at - 1",
      "dead_reason = 1",
    ],
    ...["redrives = 1", "fence = 0", "crashes = 1", "run_at = 5"],
  ]) {
    const job = newJob();
    const store = await open();
    await finish(store, [job], { output: data("whole") });
    await store.close();
    alter(`UPDATE ended SET ${change} WHERE seq = (SELECT seq FROM job WHERE id = x'${hex(job.id)}')`);

    const again = await open();
    const result = (await resultsOf(again)).results.find(({ id }) => id === job.id);
    assert.deepEqual([result?.state, result?.output, result?.attempts], ["SUCCEEDED", data("whole"), 1], change);
    assert.equal((await again.get({ client: "ada", id: job.id }))?.failure?.message, sentence("state", job.id), change);
    await again.close();
  }
});

test("a small file whose index has not what its table has is refused", async () => {
  const jobs = newJobs(2);
  const store = await open();
  await submit(store, jobs);
  await store.close();
  await flip(Buffer.from(hex(jobs[1]!.id), "hex"));
  await assert.rejects(open(), { message: /jobs\.db is damaged .* \(row 2 missing from index/ });
});

test("in a large file a result whose id was damaged in its job's row is delivered under the id that it had", async () => {
  const job = newJob();
  const store = await open();
  await finish(store, [job], { output: data("whole") });
  await submit(store, [newJob({ input: data(mostIndexesBytes) })]);
  await store.close();
  alter(`UPDATE job SET id = x'00' WHERE id = x'${hex(job.id)}'`);

  const again = await open();
  const [result] = (await resultsOf(again)).results;
  assert.deepEqual([result?.id, result?.state, result?.output], [job.id, "SUCCEEDED", data("whole")]);
  await again.close();
});
