import type { DatabaseSync } from "node:sqlite";
import { outputChecksum } from "./checksums.ts";
import { bytesOfQueued } from "./kept.ts";
import { DEAD, QUEUED } from "./protocol.ts";
import { jobSum } from "./row-sum.ts";
import type { Tables } from "./tables.ts";

/** What has to be known of a QUEUED job to end it. */
export type QueuedRow = [
  seq: number,
  state: number,
  pool: string,
  channel: number,
  id: string,
  client: string,
  task: string,
  bytes: number,
  expiresAt: number | null,
  attempts: number,
  startedAt: number | null,
  submittedAt: number,
  redrives: number,
  options: string | null,
];
export const queuedColumns = `seq, state, pool, channel, id, client, task, ${bytesOfQueued}, expires_at, attempt,
  started_at, submitted_at, redrives, options`;

/** Makes a QUEUED job final, with a result, although no attempt of it ended. `failure` is JSON. */
export type EndQueued = (
  row: QueuedRow,
  state: number,
  deadReason: number | null,
  failure: string,
  finishedAt: number,
) => void;

export function createEndQueued(db: DatabaseSync, tables: Tables): EndQueued {
  const { channels, counters, deadLetters, deadlines } = tables;
  const update = db.prepare(`
    UPDATE job SET state = ?1, dead_reason = ?, finished_at = ?, cursor = ?, failure = ?,
      output_kind = NULL, output_type = NULL, output = NULL, output_crc = ?,
      row_sum = ${jobSum.sql({ state: "?1" })}
    WHERE seq = ?`);

  return (row, state, deadReason, failure, finishedAt) => {
    // biome-ignore format: as in the type
    const [seq, , pool, channelId, id, client, task, bytes, expiresAt, attempts, startedAt,
      submittedAt, redrives, options] = row;
    const cursor = channels.append(channels.byId(channelId), state, finishedAt);
    const numbers = [state, attempts, startedAt, finishedAt, deadReason, submittedAt, redrives] as const;
    const crc = outputChecksum({ id, client, task }, null, null, failure, null, { options, numbers });
    update.run(state, deadReason, finishedAt, cursor, failure, crc, seq);
    if (expiresAt !== null) deadlines.remove(pool, expiresAt, seq);
    if (state === DEAD) deadLetters.add(seq, client, pool, finishedAt);
    counters.add(pool, QUEUED, -1);
    counters.add(pool, state, 1);
    counters.addBytes(state, bytes + Buffer.byteLength(failure));
  };
}
