/** Tables of which few jobs have a row. */
import type { DatabaseSync } from "node:sqlite";
import { createRowWriter } from "../integrity/checked-rows.ts";
import { progressColumns, type ProgressNumbers } from "./job-rows.ts";

type Numbers = ProgressNumbers extends [...infer All, checksum: number] ? All : never;

export type Progress = {
  /** What attempts so far left of a job that waits again; written by `flush`. `isRight`: see `RunningJob`. */
  write(numbers: Numbers, isRight: boolean): void;
  /** Says that the job has ended. */
  remove(seq: number): void;
  flush(): void;
};

export function createProgress(db: DatabaseSync): Progress {
  const rows = createRowWriter(db, "INSERT OR REPLACE INTO progress", progressColumns);
  const erase = db.prepare("DELETE FROM progress WHERE seq = ?");
  return {
    write: (numbers, isRight) => (isRight ? rows.add(numbers) : rows.addWrong(numbers)),
    remove: (seq) => void erase.run(seq),
    flush: rows.flush,
  };
}

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
