import type { DatabaseSync } from "node:sqlite";
import { createSql } from "./connection.ts";

/**
 * Length of the write-ahead log, in pages, at which it is moved into the main file. Long enough that this is rare and
 * the log's space is reused, and short enough (16 MiB) that opening after a crash is quick.
 */
const mostPages = 4_000;

export type Checkpoint = {
  /** Moves the log into the main file if it is long. Throws if that fails, which loses nothing. */
  whenLong(): void;
  /** Moves it, whatever its length. False: a part of it remains, because another connection reads it. */
  now(): boolean;
};

/**
 * Replaces SQLite's own checkpoints after a commit and at close: SQLite does not report their failures, and the server
 * would continue with a disk that does not write.
 */
export function createCheckpoint(db: DatabaseSync): Checkpoint {
  type Row = [busy: number, pages: number, moved: number];
  const sql = createSql(db);
  const length = sql<Row>`PRAGMA wal_checkpoint(NOOP)`; // before SQLite 3.51 this moves pages, too
  const move = sql<Row>`PRAGMA wal_checkpoint(PASSIVE)`;
  return {
    whenLong: () => {
      const [, pages, moved] = length.get()!;
      if (pages >= mostPages && moved < pages) move.get();
    },
    now: () => {
      const [busy, pages, moved] = move.get()!;
      return busy === 0 && moved === pages;
    },
  };
}
