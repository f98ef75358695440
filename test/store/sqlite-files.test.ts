import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { copyFile, mkdtemp, readdir, readFile, rm, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { afterEach, beforeEach, describe, test } from "node:test";
import type { MillpondError } from "../../src/errors.ts";
import { openConnection } from "../../src/store/sqlite/thread/connection.ts";
import { openSqliteStore } from "../../src/store/sqlite.ts";
import { latestKeptMs, type Store } from "../../src/store/store.ts";
import { asBoot1, data, finish, leaseAll, newJobs, resultsOf, retried, settlement, t0, submit } from "./sample.ts";

let directory: string;
let path: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "millpond-files-"));
  path = join(directory, "jobs.db");
});
afterEach(() => rm(directory, { recursive: true }));

const open = (at = path) => openSqliteStore({ path: at, onFailure: (error) => assert.fail(error) });

/** A closed store with a few jobs in it. */
async function makeStore(): Promise<void> {
  const store = await open();
  await finish(store, newJobs(20, { input: data(3_000) }));
  await store.close();
}

/** The files of a store that was not closed: what it wrote last is in the write-ahead log only. */
async function makeCrashedStore(change = ""): Promise<void> {
  const from = join(directory, "source.db");
  const store = await open(from);
  await finish(store, newJobs(20, { input: data(3_000) }));
  const beside = new DatabaseSync(from);
  if (change) beside.exec(change);
  for (const suffix of ["", "-wal"]) await copyFile(from + suffix, path + suffix);
  beside.close();
  await store.close();
}

function alter(sql: string): void {
  const db = new DatabaseSync(path);
  db.exec(sql);
  db.close();
}

/** Opening is refused with a sentence that matches, and the file and its log stay as they are. */
async function assertRefused(sentence: RegExp): Promise<void> {
  const content = async () => {
    const names = (await readdir(directory)).filter((name) => ["jobs.db", "jobs.db-wal"].includes(name));
    return Promise.all(names.map(async (name) => [name, (await readFile(join(directory, name))).toString("base64")]));
  };
  const before = await content();
  await assert.rejects(open(), (error: Error) => {
    assert.equal(error.name, "StartError");
    assert.match(error.message, sentence);
    assert.ok(error.message.includes(path), "names the file");
    return true;
  });
  assert.deepEqual(await content(), before);
}

describe("a store file is refused and left as it is", () => {
  test("when a newer version wrote it", async () => {
    await makeStore();
    alter("PRAGMA user_version = 99");
    await assertRefused(/has version 99 .* up to 8: use the newer Millpond/);
  });

  test("when a version before the oldest one known wrote it", async () => {
    await makeStore();
    alter("PRAGMA user_version = 7");
    await assertRefused(/has version 7 .* from 8 on: .* with the Millpond that wrote it/);
  });

  test("when a newer version wrote it and it was not closed", async () => {
    await makeCrashedStore("PRAGMA user_version = 99");
    await assertRefused(/has version 99/);
  });

  test("when another program wrote it", async () => {
    alter("CREATE TABLE notes (text TEXT)");
    await assertRefused(/SQLite file of another program/);
  });

  test("when it is not a database", async () => {
    await writeFile(path, "dear diary, ".repeat(1_000));
    await assertRefused(/damaged or not a Millpond store \(file is not a database\): restore it from a backup/);
  });

  test("when it was cut short", async () => {
    await makeStore();
    const { length } = await readFile(path);
    await truncate(path, length - 4_096 * 5);
    await assertRefused(/damaged/);
  });

  test("when it was cut short and its log does not make up for it", async () => {
    await makeStore();
    const { length } = await readFile(path);
    const db = new DatabaseSync(path);
    db.exec("UPDATE total SET last_seq = 21");
    for (const suffix of ["", "-wal"]) await copyFile(path + suffix, `${path}.copy${suffix}`);
    db.close();
    for (const suffix of ["", "-wal"]) await copyFile(`${path}.copy${suffix}`, path + suffix);
    await truncate(path, length - 4_096 * 5);
    await assertRefused(new RegExp(`it should have ${length} bytes and has ${length - 4_096 * 5}`));
  });

  test("when a page of it was overwritten", async () => {
    await makeStore();
    const content = await readFile(path);
    content.fill(0xaa, 4_096, 8_192);
    await writeFile(path, content);
    await assertRefused(/damaged/);
  });

  test("when this process has it open already", async () => {
    const store = await open();
    await assertRefused(/is in use: another Millpond server holds it/);
    await store.close();
    await (await open()).close();
  });

  test("when another process has it open, and no longer once that was killed", async () => {
    const holder = spawn(process.execPath, [join(import.meta.dirname, "hold-store.ts"), path]);
    await once(holder.stdout, "data");
    await assertRefused(/is in use/);
    holder.kill("SIGKILL");
    await once(holder, "exit");
    await (await open()).close();
  });
});

test("an empty file and a missing folder become a store", async () => {
  await writeFile(path, "");
  await (await open()).close();
  await (await open(join(directory, "a", "b", "jobs.db"))).close();
});

test("a store that was not closed has everything that was answered", async () => {
  await makeCrashedStore();
  const store = await open();
  assert.equal((await resultsOf(store)).results.length, 20);
  await store.close();
});

test("a start that fails moves nothing of the log into the file", async () => {
  await makeCrashedStore("PRAGMA user_version = 0"); // so that the migration fails: it was made already
  await rm(`${path}.commits`, { force: true });
  const before = await readFile(path);
  const { length } = await readFile(`${path}-wal`);
  await assert.rejects(open(), /cannot open the store .*: table name already exists/);
  assert.ok(before.equals(await readFile(path)), "the file is as it was");
  assert.equal((await readFile(`${path}-wal`)).length, length);
});

test("the log is moved into the file again and again, and does not grow with what is written", async () => {
  const store = await open();
  for (let round = 0; round < 16; round += 1) await submit(store, newJobs(1, { input: data(3 * 1024 * 1024) }));
  const { length } = await readFile(`${path}-wal`);
  assert.ok(length < 24 * 1024 * 1024, `48 MiB were written, and the log has ${length} bytes`);
  assert.ok((await readFile(path)).length > 24 * 1024 * 1024);
  await store.close();
});

test("the settings that durability rests on are in force, and a file that cannot have them is refused", () => {
  const db = openConnection(path);
  const read = (name: string) => Object.values(db.prepare(`PRAGMA ${name}`).get()!)[0];
  assert.deepEqual([read("journal_mode"), read("synchronous"), read("busy_timeout")], ["wal", 2, 5_000]);
  assert.equal(read("wal_autocheckpoint"), 0, "a checkpoint that fails must be heard of");
  db.close();
  assert.throws(() => openConnection(":memory:"), /did not accept journal_mode = wal: it has memory/);
});

test("after one failure every call is refused, and the failure is told once", async () => {
  const failures: MillpondError[] = [];
  const store = await openSqliteStore({ path, onFailure: (error) => failures.push(error) });
  await submit(store, newJobs(2));
  alter("DROP TABLE waiting");
  const content = () => Promise.all(["", "-wal"].map((suffix) => readFile(path + suffix, "base64")));
  const before = await content();
  const failed = submit(store, newJobs(1, { input: data(5_000) }));
  const alongside = store.lease({ pool: "cpu", limit: 1, now: t0, ...asBoot1 });
  await assert.rejects(failed, { reason: "store_failed" });
  await assert.rejects(alongside, { reason: "store_failed" });
  await assert.rejects(store.counts(), { reason: "store_failed" });
  assert.equal(failures.length, 1);
  await store.close();
  assert.deepEqual(await content(), before, "nothing is moved from a log that may be damaged");
  const db = new DatabaseSync(path);
  const { jobs } = db.prepare("SELECT count(*) AS jobs FROM job").get()!;
  db.close();
  assert.equal(jobs, 2, "the failed transaction left nothing");
});

describe("the latest time on the disk, when a process is killed", () => {
  const onDisk = () => {
    const beside = new DatabaseSync(path, { readOnly: true });
    const { latest_at: at } = beside.prepare("SELECT latest_at FROM total").get() as { latest_at: number };
    beside.close();
    return at - t0;
  };
  const idle = (store: Store, ms: number) => store.lease({ pool: "none", limit: 1, now: t0 + ms, ...asBoot1 });

  test("is not before what was written last", async () => {
    const store = await open();
    await submit(store, newJobs(1));
    const [lease] = await leaseAll(store);
    await idle(store, 50);
    assert.equal(onDisk(), 0, "a call that writes nothing makes no commit");
    await store.settle([settlement(lease!, { ...retried, finishedAt: t0 + 40 })]);
    assert.equal(onDisk(), 50);
    await store.close();
  });

  test("is written once a minute when there is nothing else to write, and by a close", async () => {
    const store = await open();
    await submit(store, newJobs(1));
    await idle(store, latestKeptMs - 1);
    assert.equal(onDisk(), 0);
    await idle(store, latestKeptMs);
    assert.equal(onDisk(), latestKeptMs);
    await idle(store, latestKeptMs + 7);
    assert.equal(onDisk(), latestKeptMs);
    await store.close();
    assert.equal(onDisk(), latestKeptMs + 7);
  });
});
