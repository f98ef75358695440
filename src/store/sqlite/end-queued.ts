import type { DatabaseSync } from "node:sqlite";
import { bytesOfQueued } from "./kept.ts";
import { outputChecksum } from "./payloads.ts";
import { QUEUED } from "./protocol.ts";
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
];
export const queuedColumns = `seq, state, pool, channel, id, client, task, ${bytesOfQueued}`;

/** Makes a QUEUED job final, with a result, although no attempt of it ended. `failure` is JSON. */
export type EndQueued = (
  row: QueuedRow,
  state: number,
  deadReason: number | null,
  failure: string,
  finishedAt: number,
) => void;

export function createEndQueued(db: DatabaseSync, { channels, counters }: Tables): EndQueued {
  const update = db.prepare(`
    UPDATE job SET state = ?, dead_reason = ?, finished_at = ?, cursor = ?, failure = ?,
      output_kind = NULL, output_type = NULL, output = NULL, output_crc = ?
    WHERE seq = ?`);

  return ([seq, , pool, channelId, id, client, task, bytes], state, deadReason, failure, finishedAt) => {
    const cursor = channels.append(channels.byId(channelId), state, finishedAt);
    const crc = outputChecksum({ id, client, task }, null, null, failure, null);
    update.run(state, deadReason, finishedAt, cursor, failure, crc, seq);
    counters.add(pool, QUEUED, -1);
    counters.add(pool, state, 1);
    counters.addBytes(state, bytes + Buffer.byteLength(failure));
  };
}
