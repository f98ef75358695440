import type { DatabaseSync } from "node:sqlite";

export type DeadLetters = {
  /** Says that a job became DEAD. */
  add(seq: number, client: number, pool: number, finishedAt: number): void;
  /** Says that it is not DEAD any more, or gone. */
  remove(seq: number): void;
};

/** The DEAD jobs, in a table of their own: they are few among many, and found by age and by client. */
export function createDeadLetters(db: DatabaseSync): DeadLetters {
  const insert = db.prepare("INSERT INTO dead_letter (seq, client, pool, finished_at) VALUES (?, ?, ?, ?)");
  const erase = db.prepare("DELETE FROM dead_letter WHERE seq = ?");
  return {
    add: (seq, client, pool, finishedAt) => void insert.run(seq, client, pool, finishedAt),
    remove: (seq) => void erase.run(seq),
  };
}
