import type { DatabaseSync } from "node:sqlite";
import { createSql } from "./connection.ts";

/**
 * Pages in the write-ahead log before they are moved into the main file. Long enough that the move is rare and the log's
 * space is used again and again, short enough (16 MiB) that opening after a crash is quick.
 */
const mostPages = 4_000;

export type Checkpoint = {
  /** Moves the log into the main file when it is long. Throws when that fails; nothing is lost then. */
  whenLong(): void;
  /** Moves it whatever its length. False: some of it is still there, because another connection reads it. */
  now(): boolean;
};

/**
 * In place of SQLite's own checkpoints, those behind a commit and at a close: when they fail, SQLite does not report it, and a
 * server would go on with a disk that does not write.
 */
export function createCheckpoint(db: DatabaseSync): Checkpoint {
  type Row = [busy: number, pages: number, moved: number];
  const sql = createSql(db);
  const length = sql<Row>`PRAGMA wal_checkpoint(NOOP)`; // before SQLite 3.51 it moves them, too
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
