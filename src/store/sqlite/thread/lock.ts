import { mkdirSync, readlinkSync, realpathSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { messageOf } from "../../../errors.ts";
import { orRefuse } from "./start-errors.ts";

export type FileLock = {
  /** Where the links of the path lead to: what belongs to the store lies beside that. */
  readonly path: string;
  release(): void;
};

const SQLITE_BUSY = 5;

/**
 * Holds a store file for this process alone, until `release` or the end of the process, however it ends: the lock is
 * the operating system's, on a file `.lock` beside it which stays empty. Makes the folder when it is missing. Throws a
 * StartError when the file is held already, also by this process.
 */
export function lockFile(given: string): FileLock {
  const lock = () => {
    mkdirSync(dirname(given), { recursive: true });
    const path = realPathOf(given);
    const db = new DatabaseSync(`${path}.lock`, { timeout: 0 });
    db.exec("BEGIN EXCLUSIVE"); // SQLite knows how to lock a file on every system; nothing is ever written
    return { path, release: () => db.close() };
  };
  return orRefuse(lock, (error) =>
    error.errcode === SQLITE_BUSY
      ? `the store ${given} is in use: another Millpond server holds it; stop that server, or choose another path`
      : `cannot lock the store ${given} (${messageOf(error)}): its folder must exist or be creatable, and be writable`,
  );
}

/** Also when nothing is there yet. SQLite follows links, so two paths that lead to one file must share all that is beside it. */
function realPathOf(path: string): string {
  try {
    return realpathSync(path);
  } catch (error) {
    const target = (error as NodeJS.ErrnoException).code === "ENOENT" ? targetOf(path) : undefined;
    return target === undefined ? path : realPathOf(resolve(realpathSync(dirname(path)), target));
  }
}

/** Undefined: it is no link. */
function targetOf(path: string): string | undefined {
  try {
    return readlinkSync(path);
  } catch {
    return undefined;
  }
}
