/** A file of an older version becomes one of the newest, and is left whole when that is cut short. */
import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { afterEach, beforeEach, test } from "node:test";
import { pathToFileURL } from "node:url";
import { migrate, newestVersion, type Migration } from "../../src/store/sqlite/thread/migrate.ts";

let directory: string;
let db: DatabaseSync;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "millpond-upgrade-"));
  db = new DatabaseSync(join(directory, "jobs.db"));
});
afterEach(async () => {
  db.close();
  await rm(directory, { recursive: true });
});

/** The store's own migrations, and one that is made for the test. */
async function withNext(sql: string): Promise<Migration[]> {
  const path = join(directory, "next.sql");
  await writeFile(path, sql);
  return [...migrations, pathToFileURL(path)];
}

const content = () =>
  JSON.stringify([
    db.prepare("PRAGMA user_version").get(),
    db.prepare("SELECT name, sql FROM sqlite_schema ORDER BY name").all(),
    db.prepare("SELECT * FROM total").all(),
  ]);
