/** A file of an older version becomes one of the newest, and is left whole when that is cut short. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { afterEach, beforeEach, test } from "node:test";
import { pathToFileURL } from "node:url";
import { migrate, migrations, newestVersion } from "../../src/store/sqlite/thread/migrate.ts";
import { openSqliteStore } from "../../src/store/sqlite.ts";
import { newJobs, submit } from "./sample.ts";

let directory: string;
let path: string;
let next: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "millpond-upgrade-"));
  path = join(directory, "jobs.db");
  next = join(directory, "next.sql");
  const store = await openSqliteStore({ path, onFailure: assert.fail, onUpgrade: () => assert.fail("it is new") });
  await submit(store, newJobs(3));
  await store.close();
});
afterEach(() => rm(directory, { recursive: true }));

/** Everything in the file that a migration might change. */
function content(): object[] {
  const db = new DatabaseSync(path);
  const rows = (sql: string) => db.prepare(sql).all();
  const found = [
    ...rows("PRAGMA user_version"),
    ...rows("SELECT name, sql FROM sqlite_schema ORDER BY name"),
    ...rows("SELECT * FROM job"),
    ...rows("SELECT * FROM total"),
  ];
  db.close();
  return found;
}

function apply(): number {
  const db = new DatabaseSync(path);
  try {
    return migrate(db, [...migrations, pathToFileURL(next)]);
  } finally {
    db.close();
  }
}

test("a file of the version before gets what is new, once, and keeps what it has", async () => {
  await writeFile(next, "ALTER TABLE total ADD COLUMN novel INTEGER NOT NULL DEFAULT 7;");
  const jobs = content().filter((row) => "record" in row);
  assert.equal(apply(), newestVersion);
  assert.equal(apply(), newestVersion + 1);
  assert.deepEqual(
    content().filter((row) => "record" in row),
    jobs,
  );
  assert.equal((content().at(-1) as { novel: number }).novel, 7);
});

test("an upgrade that fails leaves the version before, whole", async () => {
  await writeFile(next, "DELETE FROM job; ALTER TABLE total ADD COLUMN novel INTEGER; CREATE TABLE job (in_the_way);");
  const before = content();
  assert.throws(apply, /table job already exists/);
  assert.deepEqual(content(), before);
});

test("so does one that is killed half-way, and the store opens", async () => {
  await writeFile(
    next,
    "DELETE FROM job; ALTER TABLE total ADD COLUMN novel INTEGER; SELECT die(); DELETE FROM total;",
  );
  const before = content();
  const child = join(import.meta.dirname, "migrate-half-way.ts");
  assert.equal(spawnSync(process.execPath, [child, path, next]).signal, "SIGKILL");
  assert.deepEqual(content(), before);
  const store = await openSqliteStore({ path, onFailure: assert.fail });
  assert.equal((await store.counts()).pools[0]?.QUEUED, 3);
  await store.close();
});
