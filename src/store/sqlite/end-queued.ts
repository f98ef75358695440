import type { DatabaseSync } from "node:sqlite";
import type { Channel } from "./channels.ts";
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
  isRight: number,
  trace: string | null,
  runAt: number,
];
export const queuedColumns = `seq, state, pool, channel, id, client, task, ${bytesOfQueued}, expires_at, attempt,
  started_at, submitted_at, redrives, options, ${jobSum.isRight}, trace, run_at`;

/** Makes a QUEUED job final, with a result, although no attempt of it ended. `failure` is JSON. Gives the result's channel. */
export type EndQueued = (
  row: QueuedRow,
  state: number,
  deadReason: number | null,
  failure: string,
  finishedAt: number,
) => Channel;

export function createEndQueued(db: DatabaseSync, tables: Tables): EndQueued {
  const { channels, counters, damage, deadLetters, deadlines } = tables;
  const update = db.prepare(`
    UPDATE job SET state = ?1, dead_reason = ?, finished_at = ?, channel = ?, cursor = ?, failure = ?,
      output_kind = NULL, output_type = NULL, output = NULL, output_crc = ?,
      row_sum = row_sum + ${jobSum.of({ state: 1 })} * (?1 - ${QUEUED})
    WHERE seq = ?`);

  return (row, state, deadReason, failure, finishedAt) => {
    // biome-ignore format: as in the type
    const [seq, , pool, channelId, id, client, task, bytes, expiresAt, attempts, startedAt,
      submittedAt, redrives, options, isRight] = row;
    const channel = channels.ofJob(channelId, client);
    const cursor = channels.append(channel, state, finishedAt);
    const said = isRight === 1 ? failure : JSON.stringify(damage.found("state", id));
    const ending = { state, attempts, startedAt, finishedAt, deadReason, submittedAt, redrives, options };
    const crc = outputChecksum({ id, client, task }, null, null, said, null, ending);
    update.run(state, deadReason, finishedAt, channel.id, cursor, said, crc, seq);
    if (isRight !== 1) deadlines.removeDamaged(seq);
    else if (expiresAt !== null) deadlines.remove(pool, expiresAt, seq);
    if (state === DEAD) deadLetters.add(seq, client, pool, finishedAt);
    counters.add(pool, QUEUED, -1);
    counters.add(pool, state, 1);
    counters.addBytes(state, bytes + Buffer.byteLength(said));
    return channel;
  };
}
