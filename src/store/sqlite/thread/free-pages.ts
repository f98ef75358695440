/**
 * The pages of the file that hold nothing: what pruning left, until new jobs use it or the disk has it back. They can be
 * given back where the file was made with `auto_vacuum=INCREMENTAL`; elsewhere they are only used again.
 * https://sqlite.org/pragma.html#pragma_incremental_vacuum
 */
import { statSync } from "node:fs";
import type { DatabaseSync } from "node:sqlite";
import { messageOf } from "../../../errors.ts";
import type { StoreSize } from "../../store.ts";
import { pragma } from "./connection.ts";

/** Pages that one step gives back: one to two milliseconds of work, its commit included, which half as many need too. */
const stepPages = 256;
/** Pages that stay for jobs to come: giving back what is needed again at once would cost them the file's growth. */
const leastKept = 1_024;
const keptShare = 1 / 16;
const INCREMENTAL = 2;
const SQLITE_CORRUPT = 11;

export type FreePages = {
  /** Whether more pages are free than are kept for jobs to come, and can be given back. */
  isWorthwhile(): boolean;
  /** Gives some of them back, in a transaction of its own; the file shrinks with the next checkpoint. */
  giveBack(): void;
};

/** `onDamage` is called, once, when the list of free pages is wrong. Nothing more is given back then. */
export function createFreePages(db: DatabaseSync, onDamage: (sentence: string) => void): FreePages {
  let canGiveBack = pragma(db, "auto_vacuum") === INCREMENTAL;
  const pages = (name: string) => Number(pragma(db, name));
  return {
    isWorthwhile: () =>
      canGiveBack && pages("freelist_count") >= Math.max(leastKept, pages("page_count") * keptShare) + stepPages,
    giveBack() {
      try {
        db.exec(`PRAGMA incremental_vacuum(${stepPages})`); // prepared it would give back a single page
      } catch (error) {
        if ((error as { errcode?: number }).errcode !== SQLITE_CORRUPT) throw error;
        canGiveBack = false;
        onDamage(`free space cannot be given back to the disk (${messageOf(error)}); new jobs may still use it`);
      }
    },
  };
}

/** Reads how much of the disk the store takes. */
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
