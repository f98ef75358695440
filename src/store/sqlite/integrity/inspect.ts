import { statSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";
import { pathToFileURL } from "node:url";
import { messageOf, StartError } from "../../../errors.ts";
import { findWrongChannel } from "../channels/channels.ts";
import { findWrongLease } from "../jobs/leases.ts";
import { findWrongName } from "../jobs/names.ts";
import { counterPathOf, readCommitCount } from "./commit-counter.ts";
import { createSql, pragma, type Sql } from "../thread/connection.ts";
import { applicationId, newestVersion, oldestVersion } from "../thread/migrate.ts";
import { orRefuse } from "../thread/start-errors.ts";

const SQLITE_CANTOPEN = 14;
/** Pages of larger files are not verified, which would make the start slow. */
const mostPagesBytes = 64 * 1024 * 1024;
/** Indexes of larger files are not compared with their tables, which takes three times as long: 8 ms per MiB. */
export const mostIndexesBytes = 32 * 1024 * 1024;

/**
 * Throws a StartError if a file cannot be used as a store, without changing it or its write-ahead log. A missing or
 * empty file can be used: it becomes a new store. The caller holds the file's lock.
 */
export function assertUsable(path: string): void {
  const fileBytes = sizeOf(path);
  const logBytes = sizeOf(`${path}-wal`);
  const marked = readCommitCount(path) ?? 0;
  if (fileBytes === 0 && logBytes === 0) return assertNothingLost(path, 0, marked);
  if (fileBytes === 0) throw withoutFile(path);
  const inspect = () => {
    using db = openForReading(path, logBytes);
    assertStore(db, path);
    assertWhole(db, path, fileBytes, logBytes);
    const isNew = pragma(db, "user_version") === 0;
    if (!isNew) assertFoundations(createSql(db), path);
    assertNothingLost(path, isNew ? 0 : createSql(db)<[number]>`SELECT commits FROM total`.get()![0], marked);
  };
  orRefuse(inspect, (error) =>
    error.errcode === SQLITE_CANTOPEN
      ? `${path} cannot be opened: it must be a file that this user may read and write`
      : damaged(path, messageOf(error)).message,
  );
}

/** A file without a log is opened as immutable, because SQLite would create files beside it otherwise. */
function openForReading(path: string, logBytes: number): DatabaseSync {
  const url = pathToFileURL(path);
  if (logBytes === 0) url.searchParams.set("immutable", "1");
  return new DatabaseSync(url, { readOnly: true });
}

function assertStore(db: DatabaseSync, path: string): void {
  const found = Number(pragma(db, "application_id"));
  const version = Number(pragma(db, "user_version"));
  const isEmpty = db.prepare("SELECT 1 FROM sqlite_schema LIMIT 1").get() === undefined;
  if (found === 0 && version === 0 && isEmpty) return; // its creation was interrupted
  if (found !== applicationId) {
    throw new StartError(
      `${path} is a SQLite file of another program (application_id ${found}), not a Millpond store: choose another path`,
    );
  }
  if (version > 0 && version < oldestVersion) {
    throw new StartError(
      `the store ${path} has version ${version} and this Millpond knows versions from ${oldestVersion} on: ` +
        "run its jobs and read its results with the Millpond that wrote it, and choose another path",
    );
  }
  if (version > newestVersion) {
    throw new StartError(
      `the store ${path} has version ${version} and this Millpond knows versions up to ${newestVersion}: ` +
        "use the newer Millpond that wrote it, or another path",
    );
  }
}

function assertWhole(db: DatabaseSync, path: string, fileBytes: number, logBytes: number): void {
  const pages = Number(pragma(db, "page_count"));
  const pageBytes = Number(pragma(db, "page_size"));
  // pages that are missing in the file may be in the log, each with a header of 24 bytes
  const pagesThere = Math.floor(fileBytes / pageBytes) + Math.floor(logBytes / (pageBytes + 24));
  if (pagesThere < pages) {
    throw damaged(path, `it should have ${pages * pageBytes} bytes and has ${fileBytes}`);
  }
  if (fileBytes > mostPagesBytes) return;
  const verdict = String(pragma(db, fileBytes > mostIndexesBytes ? "quick_check(1)" : "integrity_check(1)"));
  if (verdict !== "ok") throw damaged(path, verdict.replaceAll("\n", " "));
}

/**
 * Verifies rows that all jobs depend on: a damaged name, position or lease would deliver results to other clients, or
 * lose them.
 */
function assertFoundations(sql: Sql, path: string): void {
  const name = findWrongName(sql);
  if (name !== undefined) throw damaged(path, `the name ${JSON.stringify(name)} does not match its checksum`);
  const channel = findWrongChannel(sql);
  if (channel !== undefined) throw damaged(path, `the positions of channel ${channel} do not match their checksum`);
  const lease = findWrongLease(sql);
  if (lease !== undefined) throw damaged(path, `the leases of row ${lease} do not match their checksum`);
}

/** Checks that all transactions that the counter has are in the store. */
function assertNothingLost(path: string, commits: number, marked: number): void {
  if (commits >= marked) return;
  throw new StartError(
    `${path} lacks the last ${marked - commits} of the ${marked} transactions that were synced, as ${counterPathOf(path)} ` +
      `says: bring back the file and its -wal as they were, or remove ${counterPathOf(path)} to go on without them`,
  );
}

function withoutFile(path: string): StartError {
  return new StartError(
    `${path} is missing or empty, and its log ${path}-wal is there: bring back the file that belongs to it, or a backup ` +
      `without ${companionsOf(path)}`,
  );
}

function damaged(path: string, finding: string): StartError {
  return new StartError(
    `${path} is damaged or not a Millpond store (${finding}): restore it from a backup and remove ` +
      `${companionsOf(path)}, or choose another path`,
  );
}

/** The files that belong to the damaged store, and not to its backup. */
const companionsOf = (path: string) => `${path}-wal, -shm and .commits`;

function sizeOf(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.size ?? 0;
}
