import type { DatabaseSync } from "node:sqlite";
import { createRowWriter } from "../integrity/checked-rows.ts";
import { type Cells, progressColumns } from "./job-rows.ts";

/** What attempts so far left of jobs that wait again. */
export function createProgress(db: DatabaseSync) {
  const rows = createRowWriter(db, "INSERT OR REPLACE INTO progress", progressColumns);
  const erase = db.prepare("DELETE FROM progress WHERE seq = ?");
  return {
    /** Written by `flush`. `isRight`: see `RunningJob`. */
    write: (numbers: Cells<typeof progressColumns>, isRight: boolean): void =>
      isRight ? rows.add(numbers) : rows.addWrong(numbers),
    /** For a job that has ended. */
    remove: (seq: number): void => void erase.run(seq),
    flush: rows.flush,
  };
}
