import type { DatabaseSync } from "node:sqlite";
import { ACKED, type Channel, FORMER, UNKNOWN, unackedKind } from "./channels.ts";
import { prepareQuery } from "../thread/connection.ts";
import type { DetachResult } from "./detach-result.ts";
import { endedNumbers, type EndedNumbers } from "../jobs/job-rows.ts";
import { DEAD } from "../thread/protocol.ts";
import type { Tables } from "../thread/tables.ts";

/** Rows read at a time. */
const walkRows = 64;
/** Rows that one call of `prune` reads; the next call goes on where it stopped. */
const mostRows = 10_000;

/** Whether what is first in its channel may go: its kind, see channels.ts, and when it was made. */
export type MayGo = (kind: number, finishedAt: number) => boolean;

/** Walks channels from their start. What was removed or swept past is never walked over again. */
export function createSweep(db: DatabaseSync, { channels }: Tables, detachResult: DetachResult) {
  const walk = prepareQuery<EndedNumbers>(
    db,
    `SELECT ${endedNumbers} FROM ended INDEXED BY ended_position WHERE channel = ? AND cursor > ? ORDER BY cursor LIMIT ${walkRows}`,
  );
  let examined = 0;

  function kindOf({ acked }: Channel, [seq, , , , cursor, state]: EndedNumbers): number {
    if (seq < 0) return FORMER;
    return cursor <= acked ? ACKED : unackedKind(state);
  }

  return {
    /** Removes from the start of a channel what may go, until something must stay; gives how much went. */
    channel: (channel: Channel, mayGo: MayGo): number => {
      let removed = 0;
      channels.touch(channel);
      for (;;) {
        const rows = walk.all(channel.id, channel.swept);
        for (const row of rows) {
          const [, , , , cursor, state] = row;
          const at = row[12];
          const kind = kindOf(channel, row);
          if (!(state === DEAD && kind === ACKED)) {
            if (!mayGo(kind, at)) {
              channels.setHead(channel, { kind, at, cursor });
              return removed;
            }
            detachResult.removeResult(row);
            removed += 1;
          }
          examined += 1;
          channel.swept = cursor;
        }
        if (rows.length < walkRows) {
          channel.swept = channel.last;
          channels.setHead(channel, null);
          return removed;
        }
        if (examined >= mostRows) {
          channels.setHead(channel, { kind: UNKNOWN, at: 0, cursor: channel.swept });
          return removed;
        }
      }
    },
    /** Whether so much was examined that it is enough for one call. */
    isEnough: () => examined >= mostRows,
    /** Begins a new account for a call. */
    begin: (): void => {
      examined = 0;
    },
  };
}
