/**
 * The free pages of the file, left by pruning, until new jobs use them or they are returned to the disk. They can be
 * returned if the file was created with `auto_vacuum=INCREMENTAL`; otherwise they are only reused.
 * https://sqlite.org/pragma.html#pragma_incremental_vacuum
 */
import { statSync } from "node:fs";
import type { DatabaseSync } from "node:sqlite";
import { messageOf } from "../../../errors.ts";
import type { StoreSize } from "../../store.ts";
import { pragma } from "./connection.ts";

/** Pages per step: one to two milliseconds of work with its commit; half as many pages would take as long. */
const stepPages = 256;
/** Pages that are kept for new jobs, because growing the file again would slow them down. */
const leastKept = 1_024;
const keptShare = 1 / 16;
const INCREMENTAL = 2;
const SQLITE_CORRUPT = 11;

export type FreePages = {
  /** Whether more pages are free than are kept for new jobs, and can be returned. */
  isWorthwhile(): boolean;
  /** Returns some of them, in a transaction of its own; the file shrinks at the next checkpoint. */
  giveBack(): void;
};

/** `onDamage` is called once if the list of free pages is damaged; then no more pages are returned. */
export function createFreePages(db: DatabaseSync, onDamage: (sentence: string) => void): FreePages {
  let canGiveBack = pragma(db, "auto_vacuum") === INCREMENTAL;
  const pages = (name: string) => Number(pragma(db, name));
  return {
    isWorthwhile: () =>
      canGiveBack && pages("freelist_count") >= Math.max(leastKept, pages("page_count") * keptShare) + stepPages,
    giveBack() {
      try {
        db.exec(`PRAGMA incremental_vacuum(${stepPages})`); // a prepared statement would return a single page
      } catch (error) {
        if ((error as { errcode?: number }).errcode !== SQLITE_CORRUPT) throw error;
        canGiveBack = false;
        onDamage(`free space cannot be given back to the disk (${messageOf(error)}); new jobs may still use it`);
      }
    },
  };
}

/** Reads the store's size on disk. */
export function createSize(db: DatabaseSync): () => StoreSize {
  const path = db.location();
  const pageBytes = Number(pragma(db, "page_size"));
  return () => ({
    bytes: path === null ? 0 : bytesOf(path) + bytesOf(`${path}-wal`),
    freeBytes: Number(pragma(db, "freelist_count")) * pageBytes,
  });
}

function bytesOf(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.size ?? 0;
}
