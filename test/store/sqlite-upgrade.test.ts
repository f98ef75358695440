/** A file that version 1 wrote is as good as new, and is left whole when its upgrade is cut short. */
import assert from "node:assert/strict";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { afterEach, beforeEach, test } from "node:test";
import { crc32 } from "node:zlib";
import { applicationId, newestVersion } from "../../src/store/sqlite/thread/migrate.ts";
import type { Upgrade } from "../../src/store/sqlite/thread/protocol.ts";
import { openSqliteStore } from "../../src/store/sqlite.ts";
import { assertConsistent } from "./consistency.ts";
import { bad, data, died, leaseAll, newJob, pruneNothing, resultsOf, settlement, t0, submit } from "./sample.ts";

let directory: string;
let path: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "millpond-upgrade-"));
  path = join(directory, "jobs.db");
});
afterEach(() => rm(directory, { recursive: true }));

const open = () =>
  openSqliteStore({ path, onFailure: (error) => assert.fail(error), onDamage: (sentence) => assert.fail(sentence) });

const idOf = (seq: number) => `01990000-0000-7000-9000-${String(seq).padStart(12, "0")}`;

type OldJob = { state: number; run?: number; attempt?: number; cursor?: number; failure?: string; long?: boolean };

/** Writes a job as version 1 did. */
function addJob(db: DatabaseSync, seq: number, { state, attempt = 1, cursor, failure, long = false }: OldJob): void {
  const id = idOf(seq);
  const bytes = data(long ? 3_000 : "in").bytes;
  const isDone = state === 2;
  const identity = `${id}\nada\necho\n`;
  const cells: Record<string, string | number | Uint8Array | null> = {
    ...{ seq, id, client: "ada", channel: 1, pool: "cpu", task: "echo", state, attempt, max_attempts: 4 },
    ...{ fence: attempt, crashes: 0, run_at: t0, submitted_at: t0, trace: null },
    started_at: attempt > 0 ? t0 + 1 : null,
    finished_at: cursor === undefined ? null : t0 + 2,
    cursor: cursor ?? null,
    owner: state === 1 ? "boot-0" : null,
    ...{ input_kind: 2, input_type: "", input: long ? null : bytes, input_crc: crc32(bytes, crc32(`${identity}2\n`)) },
    ...{ output_kind: isDone ? 2 : null, output_type: isDone ? "" : null, output: isDone ? data("out").bytes : null },
    output_crc: isDone ? crc32(data("out").bytes, crc32(`${identity}2\n\n`)) : crc32(`${identity}\n\n${failure ?? ""}`),
    failure: failure ?? null,
  };
  const names = Object.keys(cells);
  db.prepare(`INSERT INTO job (${names.join()}) VALUES (${names.map((name) => `:${name}`).join()})`).run(cells);
  if (long) db.prepare("INSERT INTO payload (id, bytes) VALUES (?, ?)").run(2 * seq, bytes);
}

/** A file of version 1 with jobs in every state: the first result is acknowledged. */
async function makeVersion1(): Promise<void> {
  const db = new DatabaseSync(path);
  db.prepare("PRAGMA journal_mode = wal").get();
  db.exec(await readFile(new URL("../../src/store/sqlite/001.sql", import.meta.url), "utf8"));
  db.exec(`PRAGMA application_id = ${applicationId}; PRAGMA user_version = 1`);
  db.exec("INSERT INTO channel VALUES (1, 'ada', 'default', 5, 1, 0), (2, 'ada', 'refused', 0, 0, 0)");
  db.exec("INSERT INTO pool_count VALUES ('cpu', 2, 1, 2, 2, 1)");
  db.exec("UPDATE last_seq SET value = 20");
  addJob(db, 1, { state: 2, cursor: 1 });
  addJob(db, 2, { state: 2, cursor: 2, long: true });
  addJob(db, 3, { state: 3, cursor: 3, failure: JSON.stringify(bad) });
  addJob(db, 4, { state: 3, cursor: 4, attempt: 4, failure: JSON.stringify({ ...bad, retryable: true }), long: true });
  addJob(db, 5, { state: 4, cursor: 5, attempt: 0, failure: JSON.stringify(bad) });
  addJob(db, 6, { state: 1 });
  addJob(db, 7, { state: 0, attempt: 0, long: true });
  addJob(db, 8, { state: 0, failure: JSON.stringify({ ...bad, retryable: true }) });
  db.close();
}

test("a file of version 1 keeps its jobs, results and counts, and can do everything new", async () => {
  await makeVersion1();
  const store = await open();

  assert.deepEqual((await store.counts()).pools, [
    { pool: "cpu", QUEUED: 2, RUNNING: 1, SUCCEEDED: 2, DEAD: 2, CANCELLED: 1 },
  ]);
  assert.equal(await store.latest(), t0 + 2, "the newest time that version 1 had written");
  const { results, lastCursor } = await resultsOf(store);
  assert.equal(lastCursor, 5);
  assert.deepEqual(
    results.map(({ cursor, id, state, deadReason, redrives }) => ({ cursor, id, state, deadReason, redrives })),
    [
      { cursor: 2, id: idOf(2), state: "SUCCEEDED", deadReason: null, redrives: 0 },
      { cursor: 3, id: idOf(3), state: "DEAD", deadReason: "permanent", redrives: 0 },
      { cursor: 4, id: idOf(4), state: "DEAD", deadReason: "exhausted", redrives: 0 },
      { cursor: 5, id: idOf(5), state: "CANCELLED", deadReason: null, redrives: 0 },
    ],
  );
  assert.deepEqual(results[0]?.output, data("out"));
  const old = await store.get({ client: "ada", id: idOf(4) });
  assert.deepEqual([old?.input, old?.priority, old?.options, old?.history], [data(3_000), 0, null, []]);

  const [lost] = await store.expired({ now: t0, limit: 9 });
  assert.deepEqual([lost?.id, lost?.owner], [idOf(6), "boot-0"], "a lease without an end has ended");
  await store.settle([settlement(lost!, died)]);
  const again = newJob({ id: idOf(7), channel: "default", input: data(3_000) });
  assert.deepEqual(await submit(store, [again]), [{ kind: "duplicate", id: idOf(7), cursor: null }]);
  await submit(store, [newJob({ priority: 5, idempotencyKey: "k", labels: { a: "1" } })]);
  assert.deepEqual(
    (await leaseAll(store)).map(({ seq }) => seq),
    [21, 7, 8],
  );
  assert.deepEqual(await store.redrive({ client: "ada", now: t0, jobs: [{ id: idOf(3), runAt: t0 }] }), [
    { kind: "redriven", pool: "cpu", trace: null },
  ]);
  assert.deepEqual(await store.remove({ client: "ada", ids: [idOf(1)] }), [{ kind: "removed" }]);
  const all = { acknowledgedBefore: t0 * 2, unacknowledgedBefore: t0 * 2, deadBefore: t0 * 2 };
  assert.equal(await store.prune({ ...pruneNothing, ...all }), 5);
  await store.close();
  const db = new DatabaseSync(path);
  assertConsistent(db);
  assert.deepEqual({ ...db.prepare("SELECT count(*) AS channels FROM channel").get() }, { channels: 1 });
  db.close();
});

test("an upgrade is reported once, with both versions and its duration, and a new store is none", async () => {
  const upgrades: object[] = [];
  const onUpgrade = ({ tookMs, ...versions }: Upgrade) => {
    assert.ok(Number.isInteger(tookMs) && tookMs >= 0);
    upgrades.push(versions);
  };
  const openAndClose = async () => (await openSqliteStore({ path, onFailure: assert.fail, onUpgrade })).close();
  await openAndClose();
  assert.deepEqual(upgrades, []);
  await rm(path);
  await rm(`${path}.commits`);
  await makeVersion1();
  await openAndClose();
  await openAndClose();
  assert.deepEqual(upgrades, [{ from: 1, to: newestVersion }]);
});

test("an upgrade that is cut short leaves the version before, whole", async () => {
  await makeVersion1();
  const content = () => {
    const db = new DatabaseSync(path);
    const rows = [
      db.prepare("PRAGMA user_version").get(),
      db.prepare("SELECT name, sql FROM sqlite_schema ORDER BY name").all(),
      db.prepare("SELECT * FROM job").all(),
      db.prepare("SELECT * FROM last_seq").all(),
    ];
    db.close();
    return JSON.stringify(rows);
  };
  const db = new DatabaseSync(path);
  db.exec("CREATE TABLE total (in_the_way INTEGER)"); // the last thing that the upgrade makes
  db.close();
  const before = content();
  await assert.rejects(open(), /cannot open the store .*: table total already exists/);
  assert.equal(content(), before);
});
