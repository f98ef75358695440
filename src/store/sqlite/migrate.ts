import { readFileSync } from "node:fs";
import type { DatabaseSync } from "node:sqlite";

/** Marks a SQLite file as a Millpond store: "Mill" as a number (https://www.sqlite.org/pragma.html#pragma_application_id). */
export const applicationId = 0x4d696c6c;

/** The migrations in order; a file's `user_version` is the number of those it has had. */
const migrations = ["001.sql"] as const;

export const newestVersion = migrations.length;

/** Brings a store to the newest version: all missing migrations in one transaction. */
export function migrate(db: DatabaseSync): void {
  const { user_version: version } = db.prepare("PRAGMA user_version").get() as { user_version: number };
  if (version === newestVersion) return;
  db.exec("BEGIN IMMEDIATE");
  for (const file of migrations.slice(version)) db.exec(readFileSync(new URL(`./${file}`, import.meta.url), "utf8"));
  db.exec(`PRAGMA application_id = ${applicationId}`);
  db.exec(`PRAGMA user_version = ${newestVersion}`);
  db.exec("COMMIT");
}
