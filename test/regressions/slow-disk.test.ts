/** The seventh of the ten failures: a disk that stands still while outcomes wait to be written. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { createMemoryStore } from "../../src/store/memory.ts";
import { draft, drafts } from "../engine/admit/try-admission.ts";
import { openFakeEngine, settle } from "../engine/fake-engine.ts";
import { createSlowDisk } from "./slow-disk.ts";

const leaseMs = 1_000;

function openEngine() {
  const disk = createSlowDisk(createMemoryStore());
  return { disk, ...openFakeEngine({ store: disk.store, leaseMs }) };
}

test("7. outcomes that wait for a slow disk are not run again, and no job starts beyond them", async (t) => {
  const { clock, disk, pool, errors, engine } = openEngine();
  await engine.recover();
  await engine.start();
  t.after(async () => {
    disk.goOn();
    pool.endAll();
    await engine.stop();
  });
  const [admitted] = await engine.admission.admit("ada", [draft()]);
  const id = admitted?.kind === "accepted" ? admitted.id : assert.fail();
  await settle();
  const [running] = pool.held;

  disk.standStill();
  running?.end();
  for (let waited = 0; waited < 20 * leaseMs; waited += leaseMs / 4) {
    clock.advance(leaseMs / 4);
    await settle();
  }
  assert.equal(pool.held.length, 0, "nothing was started twice while the disk stood still");
  assert.ok(disk.calls("expired") < 10, "those who look for lost leases wait for their answer before they ask again");
  disk.goOn();
  await settle();

  const job = await disk.store.get({ client: "ada", id });
  assert.deepEqual([job?.state, job?.attempts, pool.sizes], ["SUCCEEDED", 1, [1]]);
  assert.deepEqual(errors, []);
});

test("7. as many outcomes as may wait for a slow disk stop the leasing, until they are written", async (t) => {
  const { clock, disk, pool, errors, engine } = openEngine();
  await engine.recover();
  for (let sent = 0; sent < 10_000; sent += 1_000) await engine.admission.admit("ada", drafts(1_000));
  await engine.start();
  t.after(() => engine.stop());
  await settle();

  let ended = 0;
  for (let each = 0; each < 1_000 && disk.calls("settle") < 5; each += 1) {
    pool.endAll();
    await settle();
  }
  disk.standStill();
  for (let idle = 0; idle < 20; idle = pool.held.length === 0 ? idle + 1 : 0) {
    ended += pool.held.reduce((sum, { leases }) => sum + leases.length, 0);
    pool.endAll();
    clock.advance(1);
    await settle();
  }
  assert.ok(ended < 6_000, `${ended} outcomes were piled up`);
  disk.goOn();
  for (let idle = 0; idle < 20; idle = pool.held.length === 0 ? idle + 1 : 0) {
    pool.endAll();
    clock.advance(1);
    await settle();
  }

  const [counts] = (await disk.store.counts()).pools;
  assert.deepEqual([counts?.SUCCEEDED, counts?.QUEUED, counts?.RUNNING], [10_000, 0, 0]);
  assert.equal(
    pool.sizes.reduce((sum, size) => sum + size, 0),
    10_000,
    "each ran once",
  );
  assert.deepEqual(errors, []);
});
