import type { DatabaseSync } from "node:sqlite";

export type Deadlines = {
  /** Says that a job with a deadline waits. */
  add(pool: number, expiresAt: number, seq: number): void;
  /** Says that it waits no longer. */
  remove(pool: number, expiresAt: number, seq: number): void;
  /** The same of a job whose row does not know its deadline any more, for it is damaged. */
  removeDamaged(seq: number): void;
};

/** The QUEUED jobs that have a deadline, in a table of their own. */
export function createDeadlines(db: DatabaseSync): Deadlines {
  const insert = db.prepare("INSERT INTO deadline (pool, expires_at, seq) VALUES (?, ?, ?)");
  const erase = db.prepare("DELETE FROM deadline WHERE pool = ? AND expires_at = ? AND seq = ?");
  const search = db.prepare("DELETE FROM deadline WHERE seq = ?");
  return {
    add: (pool, expiresAt, seq) => void insert.run(pool, expiresAt, seq),
    remove: (pool, expiresAt, seq) => void erase.run(pool, expiresAt, seq),
    removeDamaged: (seq) => void search.run(seq),
  };
}
