/** The file beside the store that knows how many transactions there were: the loss of the last ones is no secret. */
import assert from "node:assert/strict";
import { copyFile, mkdir, mkdtemp, readFile, rm, stat, symlink, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, test } from "node:test";
import { openSqliteStore } from "../../src/store/sqlite.ts";
import type { Store } from "../../src/store/store.ts";
import { asBoot1, finish, newJobs, resultsOf, t0, submit } from "./sample.ts";

let directory: string;
let path: string;
let told: string[];
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "millpond-mark-"));
  path = join(directory, "jobs.db");
  told = [];
});
afterEach(() => rm(directory, { recursive: true }));

const open = (at = path): Promise<Store> =>
  openSqliteStore({ path: at, onFailure: (error) => assert.fail(error), onDamage: (sentence) => told.push(sentence) });
const commitsAt = async (at = path) => Number.parseInt(await readFile(`${at}.commits`, "latin1"), 10);

/** The files of a store that was not closed, with this many transactions of one job each behind its start's own. */
async function makeCrashedStore(transactions: number): Promise<void> {
  const from = join(directory, "source.db");
  const store = await open(from);
  for (const job of newJobs(transactions)) await submit(store, [job]);
  for (const suffix of ["", "-wal", ".commits"]) await copyFile(from + suffix, path + suffix);
  await store.close();
}

async function assertRefused(sentence: RegExp): Promise<void> {
  await assert.rejects(open(), (error: Error) => {
    assert.equal(error.name, "StartError");
    assert.match(error.message, sentence);
    return true;
  });
}

async function jobsOf(store: Store): Promise<number> {
  return (await store.counts()).pools.reduce((sum, { QUEUED }) => sum + QUEUED, 0);
}

test("each transaction that changed something is counted once it is durable, and nothing else is", async () => {
  const store = await open();
  assert.equal(await commitsAt(), 1, "the start's own");
  await submit(store, newJobs(3));
  assert.equal(await commitsAt(), 2);
  await resultsOf(store);
  const request = { pool: "idle", limit: 9, now: t0, ...asBoot1 };
  await store.lease(request);
  await store.lease(request);
  assert.equal(await commitsAt(), 2, "reading, and a lease that finds nothing, are no transactions");
  await finish(store, newJobs(1));
  assert.equal(await commitsAt(), 5);
  await store.close();
  assert.equal(await commitsAt(), 6, "the end's own");
});

test("a store whose log lacks its last transactions is refused, with their number, and served when the mark is removed", async () => {
  await makeCrashedStore(5);
  const { size } = await stat(`${path}-wal`);
  await truncate(`${path}-wal`, size - 1);
  await assertRefused(
    /jobs\.db lacks the last 1 of the 6 transactions that were synced, as .*jobs\.db\.commits says: .* or remove .*jobs\.db\.commits to go on/,
  );
  await assertRefused(/lacks the last 1 /); // also the second time
  await rm(`${path}.commits`);
  const store = await open();
  assert.equal(await jobsOf(store), 4);
  assert.equal(await commitsAt(), 6, "counted from what is there");
  await store.close();
});

test("a log whose last transaction does not match its checksum, or that is gone, is refused", async () => {
  await makeCrashedStore(5);
  const log = await readFile(`${path}-wal`);
  const flipped = Buffer.from(log);
  flipped[flipped.length - 1]! ^= 1;
  await writeFile(`${path}-wal`, flipped);
  await assertRefused(/lacks the last 1 of the 6 /);
  await rm(`${path}-wal`);
  await assertRefused(/lacks the last \d of the 6 /);
  await writeFile(`${path}-wal`, log);
  const store = await open();
  assert.equal(await jobsOf(store), 5, "as it was, it is served");
  await store.close();
});

test("a log with a bit that turned over anywhere is refused", async () => {
  await makeCrashedStore(5);
  const [file, log] = [await readFile(path), await readFile(`${path}-wal`)];
  const places = 12;
  for (let place = 0; place < places; place += 1) {
    const flipped = Buffer.from(log);
    flipped[Math.floor(((place + 0.5) / places) * log.length)]! ^= 1 << (place % 8);
    await rm(`${path}-shm`, { force: true });
    await writeFile(path, file);
    await writeFile(`${path}-wal`, flipped);
    await assertRefused(/lacks the last \d of the 6 /);
  }
});

test("a store that is gone, empty, or an older copy is refused", async () => {
  const store = await open();
  await store.close();
  await copyFile(path, `${path}.backup`);
  const again = await open();
  await submit(again, newJobs(1));
  await again.close();
  await copyFile(`${path}.backup`, path);
  await assertRefused(/lacks the last 3 of the 5 /);
  await truncate(path, 0);
  await assertRefused(/lacks the last 5 of the 5 /);
  await rm(path);
  await assertRefused(/lacks the last 5 of the 5 /);
});

test("an older mark, an empty one, or none, refuses nothing, and an unreadable one is told", async () => {
  await makeCrashedStore(5);
  const older = await readFile(`${path}.commits`);
  const tooLong = Buffer.concat([older, Buffer.from("\n")]);
  const marks = [undefined, "", older, "0000000000000009 00000000\n", Buffer.alloc(26), tooLong];
  for (const [index, mark] of marks.entries()) {
    if (mark === undefined) await rm(`${path}.commits`);
    else await writeFile(`${path}.commits`, mark);
    const store = await open();
    assert.equal(await jobsOf(store), 5);
    assert.equal(await commitsAt(), 7 + 2 * index);
    await store.close();
  }
  const sentence =
    `${path}.commits does not match its checksum: were the store's last transactions lost, it would not be known; ` +
    "it is written again";
  assert.deepEqual(told, [sentence, sentence, sentence]);
});

test("a mark that cannot be read or written refuses the start, and says so", async () => {
  await makeCrashedStore(1);
  await rm(`${path}.commits`);
  await mkdir(`${path}.commits`);
  await assertRefused(
    /jobs\.db\.commits cannot be read \(EISDIR.*\): it must be a file that this user may read and write$/,
  );
});

test("a store whose file is missing and whose log is there is refused, with what to do", async () => {
  await makeCrashedStore(5);
  for (const remove of [() => truncate(path, 0), () => rm(path)]) {
    await remove();
    await assertRefused(/jobs\.db is missing or empty, and its log .*jobs\.db-wal is there: bring back the file/);
  }
});

test("behind a link, log and mark lie beside the file itself", async () => {
  await makeCrashedStore(3);
  const link = join(directory, "link.db");
  await symlink("jobs.db", link);
  const store = await open(link);
  assert.equal(await jobsOf(store), 3);
  await store.close();
  await assert.rejects(stat(`${link}.commits`), { code: "ENOENT" });
  await rm(path);
  await assert.rejects(open(link), /jobs\.db lacks the last 6 of the 6 /, "a link that leads nowhere");
});

test("a link that leads nowhere is followed from the folder that it really lies in", async () => {
  const [real, linked] = [join(directory, "b", "c"), join(directory, "a")];
  await mkdir(real, { recursive: true });
  await symlink(real, linked);
  await symlink("../jobs.db", join(real, "link.db"));
  await (await open(join(linked, "link.db"))).close();
  await rm(join(directory, "b", "jobs.db"));
  await assert.rejects(open(join(linked, "link.db")), /b\/jobs\.db lacks the last 2 of the 2 /);
});

test("a path that links to itself is refused", async () => {
  await symlink("jobs.db", path);
  await assert.rejects(open(), { name: "StartError" });
});
