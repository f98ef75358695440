import type { DatabaseSync } from "node:sqlite";
import { maxHistory, type PastAttempt } from "../../job/job.ts";
import { prepareQuery } from "./connection.ts";
import { outcomes } from "./protocol.ts";
import { readFailure } from "./text.ts";

export type PastCells = readonly [
  seq: number,
  fence: number,
  attempt: number,
  outcome: number,
  failure: string,
  startedAt: number | null,
  finishedAt: number,
];

export type History = {
  /** Adds an attempt, and forgets the oldest beyond `maxHistory`; gives how many bytes of failures came and went. */
  add(...past: PastCells): number;
  /** Oldest first. */
  of(seq: number): PastAttempt[];
  /** When the newest attempt began; null when there is none, or it is unknown. */
  lastStart(seq: number): number | null;
  erase(seq: number): void;
};

/** The attempts that did not succeed: nothing is written for a job that succeeds at once. */
export function createHistory(db: DatabaseSync): History {
  // A fence that damage made smaller is given again.
  const insert = db.prepare(`
    INSERT OR REPLACE INTO past_attempt (seq, fence, attempt, outcome, failure, started_at, finished_at)
    VALUES (?, ?, ?, ?, ?, ?, ?)`);
  const trim = prepareQuery<[number]>(
    db,
    `DELETE FROM past_attempt WHERE seq = ?1 AND fence <=
       (SELECT fence FROM past_attempt WHERE seq = ?1 ORDER BY fence DESC LIMIT 1 OFFSET ${maxHistory})
     RETURNING octet_length(failure)`,
  );
  const select = prepareQuery<[number, number, string, number | null, number]>(
    db,
    "SELECT attempt, outcome, failure, started_at, finished_at FROM past_attempt WHERE seq = ? ORDER BY fence",
  );
  const newestStart = prepareQuery<[number | null]>(
    db,
    "SELECT started_at FROM past_attempt WHERE seq = ? ORDER BY fence DESC LIMIT 1",
  );
  const erase = db.prepare("DELETE FROM past_attempt WHERE seq = ?");

  return {
    add: (...past) => {
      const [seq, fence, , , failure] = past;
      insert.run(...past);
      let bytes = Buffer.byteLength(failure);
      if (fence > maxHistory) for (const [gone] of trim.all(seq)) bytes -= gone;
      return bytes;
    },
    of: (seq) =>
      select.all(seq).map(([attempt, outcome, failure, startedAt, finishedAt]) => ({
        attempt,
        outcome: outcomes[outcome]!,
        failure: readFailure(failure),
        startedAt,
        finishedAt,
      })),
    lastStart: (seq) => newestStart.get(seq)?.[0] ?? null,
    erase: (seq) => void erase.run(seq),
  };
}
