import { readFileSync } from "node:fs";
import type { DatabaseSync } from "node:sqlite";

/**
 * Marks a SQLite file as a Millpond store: "Mill" as a number
 * (https://www.sqlite.org/pragma.html#pragma_application_id).
 */
export const applicationId = 0x4d696c6c;

/**
 * The migrations in order, and the version that the first one creates. A file's `user_version` is that of its last
 * migration.
 */
export const migrations: readonly URL[] = ["./008.sql"].map((file) => new URL(file, import.meta.url));
export const oldestVersion = 8;

export const newestVersion = oldestVersion + migrations.length - 1;

/**
 * Migrates a store to the newest version, each version in a transaction of its own, so that an interrupted migration
 * leaves the previous version intact. Returns the version before; 0: the store was empty.
 */
export function migrate(db: DatabaseSync, all = migrations): number {
  const { user_version: version } = db.prepare("PRAGMA user_version").get() as { user_version: number };
  for (const [index, file] of all.entries()) if (oldestVersion + index > version) step(db, file, oldestVersion + index);
  return version;
}

function step(db: DatabaseSync, file: URL, version: number): void {
  const sql = readFileSync(file, "utf8");
  db.exec("BEGIN IMMEDIATE");
  try {
    db.exec(sql);
    db.exec(`PRAGMA application_id = ${applicationId}`);
    db.exec(`PRAGMA user_version = ${version}`);
    db.exec("COMMIT");
  } catch (error) {
    if (db.isTransaction) db.exec("ROLLBACK");
    throw error;
  }
}
