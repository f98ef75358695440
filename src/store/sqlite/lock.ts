import { mkdirSync } from "node:fs";
import { dirname } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { messageOf, StartError } from "../../errors.ts";

export type FileLock = { release(): void };

const SQLITE_BUSY = 5;

/**
 * Holds a store file for this process alone, until `release` or the end of the process, however it ends: the lock is
 * the operating system's, on a file `<path>.lock` which stays empty. Makes the folder when it is missing. Throws a
 * StartError when the file is held already, also by this process. Links are not followed: see real-path.ts.
 */
export function lockFile(path: string): FileLock {
  const lockPath = `${path}.lock`;
  let db: DatabaseSync | undefined;
  try {
    mkdirSync(dirname(lockPath), { recursive: true });
    db = new DatabaseSync(lockPath, { timeout: 0 });
    db.exec("BEGIN EXCLUSIVE"); // SQLite knows how to lock a file on every system; nothing is ever written
    const held = db;
    return { release: () => held.close() };
  } catch (error) {
    db?.close();
    if ((error as { errcode?: number }).errcode === SQLITE_BUSY) {
      throw new StartError(
        `the store ${path} is in use: another Millpond server holds it; stop that server, or choose another path`,
      );
    }
    throw new StartError(
      `cannot lock the store ${path} (${messageOf(error)}): its folder must exist or be creatable, and be writable`,
    );
  }
}
