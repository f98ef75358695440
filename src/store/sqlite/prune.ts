import type { DatabaseSync } from "node:sqlite";
import type { PruneRequest } from "../store.ts";
import type { Channel, Channels } from "./channels.ts";
import { prepareQuery } from "./connection.ts";
import type { Counters } from "./counters.ts";
import type { Payloads } from "./payloads.ts";
import { DEAD } from "./protocol.ts";

type Tables = { readonly channels: Channels; readonly counters: Counters; readonly payloads: Payloads };

/** Rows read at a time; a walk through a channel stops between them when it has removed enough. */
const walkRows = 256;

/**
 * Removes what retention allows. First each channel from its start, until something must stay; what was removed is
 * never walked over again. DEAD jobs whose result is acknowledged are passed over, and come last, through their index.
 */
export function createPrune(db: DatabaseSync, { channels, counters, payloads }: Tables) {
  const columns =
    "seq, pool, state, finished_at, cursor, (input_kind IS NOT NULL AND input IS NULL) OR (output_kind IS NOT NULL AND output IS NULL)";
  const walk = prepareQuery<Row>(
    db,
    `SELECT ${columns} FROM job INDEXED BY job_result
     WHERE channel = ? AND cursor > ? ORDER BY cursor LIMIT ${walkRows}`,
  );
  const dead = prepareQuery<Row>(
    db,
    `SELECT job.seq, job.pool, job.state, job.finished_at, job.cursor, 1
     FROM job INDEXED BY job_dead CROSS JOIN channel ON channel.id = job.channel
     WHERE job.state = ${DEAD} AND job.finished_at < ? AND job.cursor <= channel.acked
     ORDER BY job.finished_at, job.seq LIMIT ?`,
  );
  const erase = db.prepare("DELETE FROM job WHERE seq = ?");

  function remove([seq, pool, state, , , liesApart]: Row): void {
    erase.run(seq);
    if (liesApart === 1) payloads.remove(seq);
    counters.add(pool, state, -1);
  }

  /** Removes from the start of a channel; gives how many. */
  function sweep(channel: Channel, request: PruneRequest, limit: number): number {
    let removed = 0;
    for (;;) {
      const rows = walk.all(channel.id, channel.swept);
      for (const row of rows) {
        const [, , state, finishedAt, cursor] = row;
        const isAcked = cursor <= channel.acked;
        const staysForNow = state === DEAD && isAcked;
        if (!staysForNow) {
          const before = isAcked ? request.acknowledgedBefore : request.unacknowledgedBefore;
          if (removed === limit || finishedAt >= (state === DEAD ? request.deadBefore : before)) return removed;
          remove(row);
          removed += 1;
        }
        channel.swept = cursor;
        channels.touch(channel);
      }
      if (rows.length < walkRows) return removed;
    }
  }

  return (request: PruneRequest): number => {
    let removed = 0;
    for (const id of channels.unswept()) {
      removed += sweep(channels.byId(id), request, request.limit - removed);
      if (removed === request.limit) return removed;
    }
    channels.flush();
    const rest = dead.all(request.deadBefore, request.limit - removed);
    for (const row of rest) remove(row);
    return removed + rest.length;
  };
}

type Row = [seq: number, pool: string, state: number, finishedAt: number, cursor: number, liesApart: number];
