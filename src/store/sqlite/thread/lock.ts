import { mkdirSync, readlinkSync, realpathSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { messageOf } from "../../../errors.ts";
import { orRefuse } from "./start-errors.ts";

export type FileLock = {
  /** The path with symbolic links resolved: the store's other files lie beside it. */
  readonly path: string;
  release(): void;
};

const SQLITE_BUSY = 5;

/**
 * Locks a store file for this process, until `release` or the end of the process, however it ends: it is a lock of the
 * operating system on an empty file `.lock` beside it. Creates the folder if it is missing. Throws a StartError if the
 * file is locked already, also by this process.
 */
export function lockFile(given: string): FileLock {
  const lock = () => {
    mkdirSync(dirname(given), { recursive: true });
    const path = realPathOf(given);
    const db = new DatabaseSync(`${path}.lock`, { timeout: 0 });
    db.exec("BEGIN EXCLUSIVE"); // SQLite can lock a file on every system; nothing is written
    return { path, release: () => db.close() };
  };
  return orRefuse(lock, (error) =>
    error.errcode === SQLITE_BUSY
      ? `the store ${given} is in use: another Millpond server holds it; stop that server, or choose another path`
      : `cannot lock the store ${given} (${messageOf(error)}): its folder must exist or be creatable, and be writable`,
  );
}

/** Also works if the file is missing. SQLite follows links, so two paths of one file must share the files beside it. */
function realPathOf(path: string): string {
  try {
    return realpathSync(path);
  } catch (error) {
    const target = (error as NodeJS.ErrnoException).code === "ENOENT" ? targetOf(path) : undefined;
    return target === undefined ? path : realPathOf(resolve(realpathSync(dirname(path)), target));
  }
}

/** Undefined: it is not a link. */
function targetOf(path: string): string | undefined {
  try {
    return readlinkSync(path);
  } catch {
    return undefined;
  }
}
