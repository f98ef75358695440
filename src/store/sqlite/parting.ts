import type { DatabaseSync } from "node:sqlite";
import { bytesKept, liesApart } from "./kept.ts";
import { DEAD } from "./protocol.ts";
import type { Tables } from "./tables.ts";

/** What has to be known of a final job to take it away from where it is. */
export type FinalRow = [
  seq: number,
  pool: string,
  state: number,
  finishedAt: number,
  channel: number,
  cursor: number,
  bytes: number,
  liesApart: number,
  client: string,
];
export const finalColumns = `job.seq, job.pool, state, job.finished_at, channel, cursor, ${bytesKept}, ${liesApart},
  job.client`;

export type Parting = {
  /** Takes a final job away from its result, which stays in the channel until it is acknowledged. */
  fromResult(row: FinalRow): void;
  /** Removes a final job from the tables and the counters; its result is taken care of. */
  erase(row: FinalRow): void;
};

/** What becomes of results whose job goes its own way: by removal, or back into the queue. */
export function createParting(db: DatabaseSync, tables: Tables): Parting {
  const { channels, counters, deadLetters, history, payloads } = tables;
  const copy = db.prepare(`
    INSERT INTO former_result (channel, cursor, id, task, state, attempt, submitted_at, started_at, finished_at, failure,
      output_kind, output_type, output, output_crc, dead_reason, redrives, options)
    SELECT channel, cursor, id, task, state, attempt, submitted_at, started_at, finished_at, failure,
      output_kind, output_type, coalesce(output, (SELECT bytes FROM payload WHERE payload.id = 2 * seq + 1)), output_crc,
      dead_reason, redrives, options
    FROM job WHERE seq = ?`);
  const erase = db.prepare("DELETE FROM job WHERE seq = ?");

  return {
    fromResult: ([seq, , , , channelId, cursor, , , client]) => {
      const channel = channels.known(channelId, client);
      if (!channel) return; // where its result is only its damaged row knew
      if (cursor > channel.acked) {
        copy.run(seq);
        channel.formers += 1;
        channels.touch(channel);
      }
      channels.disturb(channel, cursor);
    },
    erase: ([seq, pool, state, , , , bytes, isApart]) => {
      erase.run(seq);
      if (state === DEAD) deadLetters.remove(seq);
      if (isApart === 1) {
        payloads.remove(seq);
        history.erase(seq);
      }
      counters.add(pool, state, -1);
      counters.addBytes(state, -bytes);
    },
  };
}
