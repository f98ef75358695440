/** The disk gets back what pruning has freed, and nothing is lost on the way. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync, writeFileSync } from "node:fs";
import { mkdtemp, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { DatabaseSync } from "node:sqlite";
import { afterEach, beforeEach, suite, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { createDiskWatermark } from "../../src/engine/admit/disk-watermark.ts";
import type { NewJob } from "../../src/job/job.ts";
import { openSqliteStore } from "../../src/store/sqlite.ts";
import type { Store } from "../../src/store/store.ts";
import { createFakeClock, turn } from "../support/fake-clock.ts";
import { keptLog } from "../support/samples.ts";
import { assertConsistent } from "./consistency.ts";
import { data, finish, leaseAll, listAll, newJobs, pruneAcknowledged, t0, submit } from "./sample.ts";

const mebibyte = 2 ** 20;
const giveBack = fileURLToPath(new URL("./give-back.ts", import.meta.url));

let directory: string;
let path: string;
let damages: string[];
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "millpond-space-"));
  path = join(directory, "jobs.db");
  damages = [];
});
afterEach(() => rm(directory, { recursive: true }));

const open = () =>
  openSqliteStore({ path, onFailure: (error) => assert.fail(error), onDamage: (sentence) => damages.push(sentence) });

/** Fills a store with 2 MiB of finished jobs for each batch, puts 200 that wait behind them, and removes those that are finished. */
async function fillAndPrune(store: Store, batches = 6): Promise<readonly NewJob[]> {
  for (let batch = 0; batch < batches; batch++) await finish(store, newJobs(250, { input: data(8_000) }));
  const waiting = newJobs(200, { input: data(8_000), runAt: t0 + 1 });
  await submit(store, waiting);
  const { lastCursor } = await store.results({
    client: "ada",
    channel: "default",
    afterCursor: 0,
    limit: 0,
    maxBytes: 1,
  });
  await store.ack([{ client: "ada", channel: "default", cursor: lastCursor }]);
  while ((await store.prune(pruneAcknowledged)) > 0);
  return waiting;
}

async function assertWhole(store: Store, waiting: readonly NewJob[]): Promise<void> {
  const ids = (await listAll(store)).map(({ id }) => id).toReversed();
  assert.deepEqual(
    ids,
    waiting.map(({ id }) => id),
  );
  assert.deepEqual((await store.get({ client: "ada", id: ids[0]! }))?.input, data(8_000));
  assert.deepEqual(damages, []);
}

/** Sees to it that every page is where it should be, in a store that is closed. */
function assertSound(): void {
  const db = new DatabaseSync(path);
  assert.deepEqual({ ...db.prepare("PRAGMA integrity_check").get() }, { integrity_check: "ok" });
  assertConsistent(db);
  db.close();
}

/** Resolves once the main file is shorter than this. */
async function shorterThan(bytes: number): Promise<void> {
  while ((await stat(path)).size >= bytes) await pause(20); // a busy loop would take its core from the store
}

suite("space in a store's file", () => {
  test("goes back to the disk by itself after pruning, while the server does nothing else", async () => {
    const store = await open();
    const waiting = await fillAndPrune(store, 12); // more than the log takes before it is moved
    const before = await store.size();
    assert.ok(before.freeBytes > 10 * mebibyte, "what was pruned is free at once");
    await shorterThan(9 * mebibyte);
    const after = await store.size();
    assert.ok(after.freeBytes < 6 * mebibyte && after.bytes < before.bytes, JSON.stringify(after));
    await assertWhole(store, waiting);
    assert.equal((await leaseAll(store)).length, 0);
    await store.close();
    assertSound();
  });

  test("counts as room on a full disk: jobs are taken again once others were removed", async () => {
    const store = await open();
    const clock = createFakeClock();
    const { log } = keptLog();
    const bsize = 4096;
    const statfs = async () => ({ bsize, blocks: (1024 * mebibyte) / bsize, bavail: (40 * mebibyte) / bsize });
    const freeInside = async () => (await store.size()).freeBytes;
    const disk = createDiskWatermark({
      path,
      leastFreeMiB: 50,
      clock,
      statfs,
      freeInside,
      onChanged: () => undefined,
      log,
    });
    const looked = async () => {
      clock.advance(1_000);
      await store.size();
      await turn();
      return disk.refusal()?.reason;
    };
    await disk.start();
    assert.equal(await looked(), "disk_full");
    await fillAndPrune(store);
    assert.equal(await looked(), undefined);
    await disk.stop();
    await store.close();
  });

  test("that is being given back loses nothing when the process is killed in the middle", async () => {
    const first = await open();
    const waiting = await fillAndPrune(first, 15);
    await first.close();
    const from = (await stat(path)).size;
    for (let kills = 1; kills <= 6; kills++) {
      const child = spawn(process.execPath, [giveBack, path], { stdio: ["ignore", "pipe", "inherit"] });
      const ended = once(child, "exit");
      // the signal meets it in the next step, or in its checkpoint
      for await (const line of createInterface({ input: child.stdout })) if (Number(line) >= 1 + (kills % 3)) break;
      child.kill("SIGKILL");
      await ended;
      const store = await open();
      await assertWhole(store, waiting);
      await store.close();
      assertSound();
    }
    assert.ok((await stat(path)).size < from, "some of it was given back");
  });

  test("stays in a store that was made without it, and is used again; by hand it is made one that gives back", async () => {
    const old = new DatabaseSync(path);
    old.exec("PRAGMA journal_mode = wal; CREATE TABLE t (x); DROP TABLE t");
    old.close();
    const store = await open();
    const waiting = await fillAndPrune(store);
    const { freeBytes } = await store.size();
    assert.ok(freeBytes > 10 * mebibyte);
    await store.close();
    const byHand = new DatabaseSync(path);
    byHand.exec("PRAGMA auto_vacuum = INCREMENTAL; VACUUM");
    byHand.close();
    assert.ok((await stat(path)).size < 5 * mebibyte);
    const again = await open();
    await assertWhole(again, waiting);
    await fillAndPrune(again);
    await shorterThan(12 * mebibyte);
    await again.close();
    assertSound();
  });

  test("whose pages are damaged ends no server: it is said, and the space is used again", async () => {
    const store = await open();
    await fillAndPrune(store);
    await store.close();
    damageLastPointer(path);
    const child = spawn(process.execPath, [giveBack, path], { stdio: ["ignore", "ignore", "pipe"] });
    const stderr = (await child.stderr.toArray()).join("");
    assert.match(stderr, /free space cannot be given back to the disk \(.*\); new jobs may still use it/);
  });
});

/** Says of the file's last page that it belongs to another. https://sqlite.org/fileformat2.html#pointer_map_or_ptrmap_pages */
function damageLastPointer(file: string): void {
  const db = new DatabaseSync(file);
  const { page_count: last } = db.prepare("PRAGMA page_count").get() as { page_count: number };
  db.close();
  const pageBytes = 4096;
  const perMap = pageBytes / 5;
  const map = 2 + Math.floor((last - 2) / (Math.floor(perMap) + 1)) * (Math.floor(perMap) + 1);
  const bytes = readFileSync(file);
  bytes.writeUInt32BE(3, (map - 1) * pageBytes + 5 * (last - map - 1) + 1);
  writeFileSync(file, bytes);
}
