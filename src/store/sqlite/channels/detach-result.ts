import type { DatabaseSync } from "node:sqlite";
import { recordBytes } from "../jobs/job-rows.ts";
import { DEAD } from "../thread/protocol.ts";
import type { Tables } from "../thread/tables.ts";

/** SQL: a first attempt that succeeded left no history. */
const hasHistory = "(ended.fence > 1 OR ended.state <> 2)";
/** SQL: bytes kept of a job that has ended: of its record, its result and its history. */
const storedSize = `${recordBytes} + octet_length(ended.ending)
  + CASE WHEN ${hasHistory} THEN
    coalesce((SELECT sum(octet_length(past.ending)) FROM past_attempt AS past WHERE past.seq = job.seq), 0) ELSE 0 END`;

/** What has to be known of a final job to take it away from where it is. */
export type FinalRow = [
  seq: number,
  pool: number,
  client: number,
  state: number,
  finishedAt: number,
  channel: number,
  cursor: number,
  bytes: number,
  hasHistory: number,
];
export const finalColumns = `job.seq, job.pool, job.client, ended.state, ended.finished_at, ended.channel, ended.cursor,
  ${storedSize}, ${hasHistory}`;

export type DetachResult = {
  /** Takes a final job away from its result, which stays in the channel until it is acknowledged. */
  fromJob(row: FinalRow): void;
  /** Removes what a job ended with; its result is taken care of. */
  eraseEnding(row: FinalRow): void;
  /** Removes a final job as a whole; its result is taken care of. */
  eraseJob(row: FinalRow): void;
};

/** What becomes of results whose job goes its own way: by removal, or back into the queue. */
export function createDetachResult(db: DatabaseSync, tables: Tables): DetachResult {
  const { channels, counters, deadLetters, history } = tables;
  const copy = db.prepare(`
    INSERT INTO former_result (channel, cursor, id, task, state, finished_at, ending)
    SELECT ended.channel, cursor, id, task, state, finished_at, ending FROM ended CROSS JOIN job ON job.seq = ended.seq
    WHERE ended.seq = ?`);
  const eraseEnded = db.prepare("DELETE FROM ended WHERE seq = ?");
  const eraseJob = db.prepare("DELETE FROM job WHERE seq = ?");

  function eraseEnding([seq, pool, , state, , , , bytes]: FinalRow): void {
    eraseEnded.run(seq);
    if (state === DEAD) deadLetters.remove(seq);
    counters.add(pool, state, -1);
    counters.addBytes(state, -bytes);
  }

  return {
    fromJob: ([seq, , client, , , channelId, cursor]) => {
      const channel = channels.known(channelId, client);
      if (!channel) return; // where its result is only its damaged row knew
      if (cursor > channel.acked) {
        copy.run(seq);
        channel.formers += 1;
        channels.touch(channel);
      }
      channels.disturb(channel, cursor);
    },
    eraseEnding,
    eraseJob: (row) => {
      eraseEnding(row);
      eraseJob.run(row[0]);
      if (row[8] === 1) history.erase(row[0]);
    },
  };
}
