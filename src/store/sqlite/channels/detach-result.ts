import type { DatabaseSync } from "node:sqlite";
import { readEnding } from "../../../job/ending.ts";
import { isSound } from "../../../job/wire.ts";
import { areRight } from "../integrity/checked-rows.ts";
import { endedColumns, type EndedNumbers } from "../jobs/job-rows.ts";
import { prepareQuery } from "../thread/connection.ts";
import { states, SUCCEEDED } from "../thread/protocol.ts";
import type { Tables } from "../thread/tables.ts";

export type DetachResult = {
  /** Takes a final job away from its result, which stays in the channel until it is acknowledged. */
  fromJob(row: EndedNumbers): void;
  /** Removes what a job ended with; its result is taken care of. */
  eraseEnding(row: EndedNumbers): void;
  /** Removes a final job as a whole; its result is taken care of. */
  eraseJob(row: EndedNumbers): void;
};

/** What becomes of results whose job goes its own way: by removal, or back into the queue. */
export function createDetachResult(db: DatabaseSync, tables: Tables): DetachResult {
  const { bytesOf, channels, counters, history, ownersOf } = tables;
  const copy = db.prepare(`
    INSERT INTO former_result (channel, cursor, id, task, state, finished_at, ending)
    SELECT ended.channel, cursor, id, task, state, finished_at, ending FROM ended CROSS JOIN job ON job.seq = ended.seq
    WHERE ended.seq = ?`);
  const ending = prepareQuery<[Uint8Array<ArrayBuffer>]>(db, "SELECT ending FROM ended WHERE seq = ?");
  const eraseEnded = db.prepare("DELETE FROM ended WHERE seq = ?");
  const eraseJob = db.prepare("DELETE FROM job WHERE seq = ?");

  /** As what it was counted when it ended, whatever its row says now. */
  function counted(row: EndedNumbers): { readonly pool: number; readonly state: number; readonly bytes: number } {
    const [seq, , pool, , , state] = row;
    if (areRight(row, 0, endedColumns)) return { pool, state, bytes: row[14] };
    const result = ending.get(seq)![0];
    const written = isSound(result) ? states.indexOf(readEnding(result).state) : state;
    return { pool: ownersOf(seq).pool, state: written, bytes: bytesOf(seq) + result.length };
  }

  function eraseEnding(row: EndedNumbers): void {
    const { pool, state, bytes } = counted(row);
    eraseEnded.run(row[0]);
    counters.add(pool, state, -1);
    counters.addBytes(state, -bytes);
  }

  return {
    fromJob: ([seq, client, , channelId, cursor]) => {
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
      const [seq, , , , , state, , fence] = row;
      eraseEnding(row);
      eraseJob.run(seq);
      // a first attempt that succeeded left none
      if (fence > 1 || state !== SUCCEEDED) history.erase(seq);
    },
  };
}
