import type { PruneRequest, Room } from "../../store.ts";
import { endedNumbers, type EndedNumbers } from "../jobs/job-rows.ts";
import type { Sql } from "../thread/connection.ts";
import { DEAD, type Verbs } from "../thread/protocol.ts";
import type { Tables } from "../thread/tables.ts";
import { ACKED, type Channel, FORMER, UNKNOWN, UNACKED, UNACKED_DEAD, unackedKind } from "./channels.ts";
import type { DetachResult } from "./detach-result.ts";

/** Rows read at a time. */
const walkRows = 64;
/** Bound on the rows per call; the next call continues where it stopped. */
const mostRows = 10_000;

/** Whether the first result of a channel may be removed, by its kind (see channels.ts) and age. */
type MayGo = (kind: number, finishedAt: number) => boolean;

/**
 * Removes what retention allows: first what is too old, from the start of each channel, and DEAD jobs that were passed;
 * then the oldest jobs while too many are kept.
 */
export function createPrune(sql: Sql, tables: Tables, detachResult: DetachResult) {
  const { channels, counters, keys } = tables;
  const walk = sql<EndedNumbers>`
    SELECT ${endedNumbers} FROM ended INDEXED BY ended_position
    WHERE channel = ? AND cursor >= ? ORDER BY cursor LIMIT ${walkRows}`;
  const heads = "FROM channel INDEXED BY channel_head WHERE head = ?";
  const ready = sql<[id: number]>`SELECT id ${heads} AND head_at < ? ORDER BY head_at, id LIMIT 1`;
  const heading = sql<Place>`SELECT head_at, id ${heads} ORDER BY head_at, id LIMIT 2`;
  const dead = `SELECT ${endedNumbers} FROM ended INDEXED BY dead_age WHERE state = 3 AND id IS NULL AND pool = ?`;
  const first = "ORDER BY finished_at, seq LIMIT 1";
  const oldDead = sql<EndedNumbers>`
    ${dead} AND finished_at < ? AND cursor <= (SELECT acked FROM channel WHERE channel.id = ended.channel) ${first}`;
  const oldestDead = sql<EndedNumbers>`${dead} ${first}`;

  /** Number of rows that this call has read. */
  let examined = 0;

  /**
   * Reads a channel from its head and removes what may be removed, until a result must stay; returns the number of
   * removed ones. Results that were removed or passed are not read again.
   */
  function sweep(channel: Channel, mayGo: MayGo): number {
    let removed = 0;
    let next = channel.head!.cursor;
    for (;;) {
      const rows = walk.all(channel.id, next);
      for (const row of rows) {
        const [seq, , , , cursor, state] = row;
        const at = row[12];
        const kind = seq < 0 ? FORMER : cursor <= channel.acked ? ACKED : unackedKind(state);
        if (!(state === DEAD && kind === ACKED)) {
          if (!mayGo(kind, at)) {
            channels.setHead(channel, { kind, at, cursor });
            return removed;
          }
          detachResult.removeResult(row);
          removed += 1;
        }
        examined += 1;
        next = cursor + 1;
      }
      const isDone = rows.length < walkRows;
      if (isDone || examined >= mostRows) {
        channels.setHead(channel, isDone ? null : { kind: UNKNOWN, at: 0, cursor: next });
        return removed;
      }
    }
  }

  /** Removes what is too old from the channels; returns the number of removed results. */
  function removeOld(request: PruneRequest): number {
    const before = new Map([
      [UNKNOWN, Infinity],
      [ACKED, request.acknowledgedBefore],
      [UNACKED, request.unacknowledgedBefore],
      [FORMER, request.unacknowledgedBefore],
      [UNACKED_DEAD, request.deadBefore],
    ]);
    let left = request.limit;
    for (const [kind, time] of before) {
      while (left > 0 && examined < mostRows) {
        const found = ready.get(kind, time === Infinity ? Number.MAX_SAFE_INTEGER : time);
        if (!found) break;
        let allowed = left;
        left -= sweep(channels.byId(found[0])!, (kind, at) => at < before.get(kind)! && allowed-- > 0);
        channels.flush();
      }
    }
    return request.limit - left;
  }

  /** Removes the oldest DEAD jobs that `find` returns for a pool, while `mayGo`. */
  function removeDead(find: (pool: number) => EndedNumbers | undefined, limit: number, mayGo = () => true): number {
    for (let removed = 0; ; removed += 1) {
      const row = removed < limit && mayGo() ? oldestOf(find) : undefined;
      if (!row) return removed;
      detachResult.removeJob(row);
    }
  }

  /** Over the bound on finished jobs, removes from the channel with the oldest first result. */
  function removeFinished({ maxFinished }: PruneRequest, limit: number): number {
    let left = limit;
    while (left > 0 && examined < mostRows && isOver(counters.finished(), maxFinished)) {
      const [place, next = last] = placesOf(ACKED, UNACKED);
      const [blocked] = place ? [] : placesOf(FORMER, UNACKED_DEAD);
      const chosen = place ?? blocked;
      if (!chosen) break;
      const channel = channels.byId(chosen[1])!;
      // nothing behind it may be removed while it is unread; a DEAD job only loses its place in the channel
      if (!place && channel.head!.kind === UNACKED_DEAD) {
        channels.acknowledge(channel, channel.head!.cursor);
        sweep(channel, () => false);
        left -= 1;
      } else {
        let allowed = place ? left : 1;
        left -= sweep(channel, (kind, at) => {
          const isMeant = place ? kind === ACKED || kind === UNACKED : kind === FORMER;
          const isNext = inOrder([at, channel.id], next) <= 0;
          return isMeant && isNext && isOver(counters.finished(), maxFinished) && allowed-- > 0;
        });
      }
      channels.flush();
    }
    return limit - left;
  }

  /** The oldest row over all pools. */
  function oldestOf(find: (pool: number) => EndedNumbers | undefined): EndedNumbers | undefined {
    const rows = counters.poolsWithDead().flatMap((pool) => {
      const row = find(pool);
      return row ? [row] : [];
    });
    return rows.sort((a, b) => a[12] - b[12] || a[0] - b[0])[0];
  }

  /** The two channels with the oldest first results of each of these kinds, oldest first. */
  function placesOf(...kinds: readonly number[]): Place[] {
    return kinds.flatMap((kind) => heading.all(kind)).sort(inOrder);
  }

  return {
    prune: (request) => {
      const { now, deadBefore, maxDead, limit } = request;
      counters.observe(now);
      const forgotten = keys.prune(now, limit);
      examined = 0;
      channels.flush(); // changes by other calls of this transaction must be in the index
      const isOverDead = () => isOver(counters.dead(), maxDead);
      let removed = removeOld(request);
      removed += removeDead((pool) => oldDead.get(pool, deadBefore), limit - removed);
      removed += removeFinished(request, limit - removed);
      removed += removeDead((pool) => oldestDead.get(pool), limit - removed, isOverDead);
      channels.flush();
      return Math.max(removed, forgotten);
    },
  } satisfies Partial<Verbs>;
}

/** When the first result of a channel was created, and the channel's id. */
type Place = [at: number, id: number];
const last: Place = [Infinity, Infinity];

function inOrder(a: Place, b: Place): number {
  return a[0] - b[0] || a[1] - b[1];
}

function isOver(kept: Room, bound: Room): boolean {
  return kept.jobs > bound.jobs || kept.bytes > bound.bytes;
}
