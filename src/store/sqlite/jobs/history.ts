import type { DatabaseSync } from "node:sqlite";
import { maxHistory } from "../../../job/job.ts";
import { prepareQuery } from "../thread/connection.ts";
import type { Bytes } from "./job-rows.ts";

export type History = ReturnType<typeof createHistory>;

/** The attempts that did not succeed: nothing is written for a job that succeeds at once. */
export function createHistory(db: DatabaseSync) {
  // A fence that damage made smaller is given again.
  const insert = db.prepare("INSERT OR REPLACE INTO past_attempt (seq, fence, ending) VALUES (?, ?, ?)");
  const trim = prepareQuery<[number]>(
    db,
    `DELETE FROM past_attempt WHERE seq = ?1 AND fence <=
       (SELECT fence FROM past_attempt WHERE seq = ?1 ORDER BY fence DESC LIMIT 1 OFFSET ${maxHistory})
     RETURNING octet_length(ending)`,
  );
  const select = prepareQuery<[Bytes]>(db, "SELECT ending FROM past_attempt WHERE seq = ? ORDER BY fence");
  const last = prepareQuery<[Bytes]>(db, "SELECT ending FROM past_attempt WHERE seq = ? ORDER BY fence DESC LIMIT 1");
  const sum = prepareQuery<[number]>(
    db,
    "SELECT coalesce(sum(octet_length(ending)), 0) FROM past_attempt WHERE seq = ?",
  );
  const erase = db.prepare("DELETE FROM past_attempt WHERE seq = ?");

  return {
    /** Adds an attempt, and forgets the oldest beyond `maxHistory`; gives how many bytes came and went. */
    add: (seq: number, fence: number, ending: Uint8Array): number => {
      insert.run(seq, fence, ending);
      let bytes = ending.length;
      if (fence > maxHistory) for (const [gone] of trim.all(seq)) bytes -= gone;
      return bytes;
    },
    /** Oldest first. */
    of: (seq: number): Bytes[] => select.all(seq).map(([ending]) => ending),
    newest: (seq: number): Bytes | undefined => last.get(seq)?.[0],
    bytesOf: (seq: number): number => sum.get(seq)![0],
    erase: (seq: number): void => void erase.run(seq),
  };
}
