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
