/** What clients are told of jobs whose rows are not those that were written: in lists, when they submit again, when they cancel. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { StoredJob } from "../../src/job/job.ts";
import { alter, damaged, open, query, removeStore, sentence, told, useFolder } from "./damaged-store.ts";
import { data, died, everything, finish, newJob, pruneNothing, resultsOf, retried, submit, t0 } from "./sample.ts";

useFolder();

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

test("a job whose input was damaged and that is cancelled while it waits says so in its result", async () => {
  for (const size of [9, 100_000]) {
    const job = newJob({ input: data(size) });
    const column = size === 9 ? "record" : "rest";
    const again = await damaged(`UPDATE job SET ${column} = CAST(x'00' || substr(${column}, 2) AS BLOB)`, (store) =>
      submit(store, [job]),
    );
    await again.cancel({ client: "ada", ids: [job.id], now: t0 });
    const [result] = (await resultsOf(again)).results;
    assert.deepEqual([result?.state, result?.failure?.message], ["CANCELLED", sentence("input", job.id)]);
    await again.close();
    await removeStore();
  }
});

test("an idempotency key whose row was damaged is free: its next job runs, and it is reported", async () => {
  for (const change of [
    "id = x'00112233445566778899aabbccddeeff'",
    "submitted_at = submitted_at + 1",
    "content = CAST(x'00' || substr(content, 2) AS BLOB)",
    "content = x''",
    "key = 'kez'",
    "checksum = 1",
  ]) {
    const again = await damaged(`UPDATE idempotency SET ${change}`, (store) =>
      submit(store, [newJob({ idempotencyKey: "key" })]),
    );
    const idempotencyKey = change.startsWith("key") ? "kez" : "key";
    const next = newJob({ idempotencyKey });
    assert.deepEqual(await submit(again, [next]), [{ kind: "accepted" }], change);
    const reported = `the row of idempotency key ${idempotencyKey} does not match its checksum, so it is free: the file is damaged`;
    assert.deepEqual(told.splice(0), [reported]);
    assert.deepEqual(await submit(again, [newJob({ idempotencyKey })]), [
      { kind: "duplicate", id: next.id, cursor: null },
    ]);
    await again.close();
    await removeStore();
  }
});

test("a job that is submitted again and whose record was damaged is reported", async () => {
  const job = newJob();
  const again = await damaged("UPDATE job SET record = CAST(x'00' || substr(record, 2) AS BLOB)", (store) =>
    submit(store, [job]),
  );
  const [answer] = await submit(again, [job]);
  assert.equal(answer?.kind, "conflict");
  assert.deepEqual(told.splice(0), [sentence("input", job.id)]);
  await again.close();
});

test("a pause whose row was damaged is none, which is reported, and another can be set", async () => {
  for (const change of ["overrides = replace(overrides, 'ops', 'opt')", "pool = 'io'", "checksum = 0"]) {
    const again = await damaged(`UPDATE pool_override SET ${change}`, (store) =>
      store.override({ pool: "cpu", pause: { by: "ops", at: t0 } }),
    );
    assert.equal((await again.overrides()).size, 0, change);
    assert.match(told.splice(0).join("\n"), /^the row of pool "(cpu|io)" that says whether it is paused .* damaged$/);
    const { before } = await again.override({ pool: "cpu", pause: { by: "ops", at: t0 + 1 } });
    assert.equal(before.pause, null);
    assert.deepEqual((await again.overrides()).get("cpu")?.pause, { by: "ops", at: t0 + 1 });
    await again.close();
    await removeStore();
  }
});

test("a result whose job was removed or redriven and that was damaged says whose it was, and comes to nobody else", async () => {
  for (const change of [
    "ending = CAST(x'00' || substr(ending, 2) AS BLOB)",
    "ending = (SELECT other.ending FROM ended AS other WHERE other.seq > 0)",
    "channel = 2",
    "state = 2",
    "id = x'00112233445566778899aabbccddeeff'",
  ]) {
    for (const isRemoved of [true, false]) {
      const job = newJob();
      const again = await damaged(`UPDATE ended SET ${change} WHERE seq < 0`, async (store) => {
        await finish(store, [job], died);
        await finish(store, [newJob({ client: "bob" })]);
        if (isRemoved) await store.remove({ client: "ada", ids: [job.id] });
        else await store.redrive({ client: "ada", now: t0, jobs: [{ id: job.id, runAt: t0 }] });
      });
      const client = change === "channel = 2" ? "bob" : "ada";
      const results = (await resultsOf(again, 0, "default", client)).results.filter(({ state }) => state === "DEAD");
      const isWhole = change === "state = 2" || change === "channel = 2";
      assert.equal(results.length, 1, change);
      if (isWhole) assert.equal(results[0]?.id, job.id, change);
      else assert.equal(results[0]?.failure?.reason, "damaged", change);
      await again.close();
      await removeStore();
    }
  }
});

test("a final job whose numbers were damaged is counted out as what it was", async () => {
  for (const change of ["state = 3", "pool = 77", "bytes = bytes + 4096"]) {
    const jobs = [newJob(), newJob()];
    const again = await damaged(`UPDATE ended SET ${change} WHERE seq = 1`, (store) => finish(store, jobs));
    await again.ack([{ client: "ada", channel: "default", cursor: 2 }]);
    await again.prune({ ...pruneNothing, acknowledgedBefore: t0 * 2 });
    const { pools } = await again.counts();
    assert.deepEqual(
      pools.map(({ pool, SUCCEEDED, DEAD }) => [pool, SUCCEEDED, DEAD]),
      [["cpu", change === "state = 3" ? 1 : 0, 0]],
      change,
    );
    await again.close();
    assert.deepEqual(query("SELECT finished_bytes >= 0, dead_bytes FROM total"), [1, 0], change);
    await removeStore();
  }
});

test("a line of history that is another job's is a damaged one", async () => {
  const jobs = [newJob(), newJob({ client: "bob" })];
  const again = await damaged(
    "UPDATE past_attempt SET seq = seq + 10; UPDATE past_attempt SET seq = 13 - seq",
    (store) => finish(store, jobs, retried),
  );
  for (const { client, id } of jobs) {
    const job = await again.get({ client, id });
    assert.deepEqual(
      job?.history.map(({ failure }) => failure.message),
      [sentence("output", id)],
    );
  }
  await again.close();
});
