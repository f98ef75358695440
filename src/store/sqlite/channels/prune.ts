import type { DatabaseSync } from "node:sqlite";
import type { PruneRequest, Room } from "../../store.ts";
import { ACKED, FORMER, UNKNOWN, UNACKED, UNACKED_DEAD } from "./channels.ts";
import { prepareQuery } from "../thread/connection.ts";
import type { DetachResult } from "./detach-result.ts";
import { endedNumbers, type EndedNumbers } from "../jobs/job-rows.ts";
import { createSweep } from "./sweep.ts";
import type { Tables } from "../thread/tables.ts";

/**
 * Removes what retention allows: first what is too old, from the start of each channel whose first result is, and
 * dead letters that were swept past; then, while too much is kept, the oldest.
 */
export function createPrune(db: DatabaseSync, tables: Tables, detachResult: DetachResult) {
  const { channels, counters, keys } = tables;
  const sweep = createSweep(db, tables, detachResult);
  const heads = "FROM channel INDEXED BY channel_head WHERE head = ?";
  const ready = prepareQuery<[id: number]>(db, `SELECT id ${heads} AND head_at < ? ORDER BY head_at, id LIMIT 1`);
  const heading = prepareQuery<Place>(db, `SELECT head_at, id ${heads} ORDER BY head_at, id LIMIT 2`);
  const dead = `SELECT ${endedNumbers} FROM ended INDEXED BY dead_age WHERE state = 3 AND id IS NULL AND pool = ?`;
  const first = "ORDER BY finished_at, seq LIMIT 1";
  const oldDead = prepareQuery<EndedNumbers>(
    db,
    `${dead} AND finished_at < ? AND cursor <= (SELECT acked FROM channel WHERE channel.id = ended.channel) ${first}`,
  );
  const oldestDead = prepareQuery<EndedNumbers>(db, `${dead} ${first}`);

  /** What is too old in the channels; gives how much went. */
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
      while (left > 0 && !sweep.isEnough()) {
        const found = ready.get(kind, time === Infinity ? Number.MAX_SAFE_INTEGER : time);
        if (!found) break;
        let allowed = left;
        left -= sweep.channel(channels.byId(found[0]), (kind, at) => at < before.get(kind)! && allowed-- > 0);
        channels.flush();
      }
    }
    return request.limit - left;
  }

  function removeOldDead({ deadBefore }: PruneRequest, limit: number): number {
    for (let removed = 0; removed < limit; removed += 1) {
      const row = oldestOf((pool) => oldDead.get(pool, deadBefore));
      if (!row) return removed;
      detachResult.removeJob(row);
    }
    return limit;
  }

  /** Over the bound on finished jobs, the channel goes first whose first result is the oldest. */
  function removeFinished({ maxFinished }: PruneRequest, limit: number): number {
    let left = limit;
    while (left > 0 && !sweep.isEnough() && isOver(counters.finished(), maxFinished)) {
      const [place, next = last] = placesOf(ACKED, UNACKED);
      const [blocked] = place ? [] : placesOf(FORMER, UNACKED_DEAD);
      const chosen = place ?? blocked;
      if (!chosen) break;
      const channel = channels.byId(chosen[1]);
      // Nothing behind it may go as long as it waits to be read. A dead letter loses its place only, not its life.
      if (!place && channel.head!.kind === UNACKED_DEAD) {
        channels.acknowledge(channel, channel.head!.cursor);
        sweep.channel(channel, () => false);
        left -= 1;
      } else {
        let allowed = place ? left : 1;
        left -= sweep.channel(channel, (kind, at) => {
          const isMeant = place ? kind === ACKED || kind === UNACKED : kind === FORMER;
          const isNext = inOrder([at, channel.id], next) <= 0;
          return isMeant && isNext && isOver(counters.finished(), maxFinished) && allowed-- > 0;
        });
      }
      channels.flush();
    }
    return limit - left;
  }

  function removeDead({ maxDead }: PruneRequest, limit: number): number {
    let removed = 0;
    for (; removed < limit && isOver(counters.dead(), maxDead); removed += 1) {
      const row = oldestOf((pool) => oldestDead.get(pool));
      if (!row) break;
      detachResult.removeJob(row);
    }
    return removed;
  }

  /** The oldest of what each pool has. */
  function oldestOf(find: (pool: number) => EndedNumbers | undefined): EndedNumbers | undefined {
    const rows = counters.poolsWithDead().flatMap((pool) => {
      const row = find(pool);
      return row ? [row] : [];
    });
    return rows.sort((a, b) => a[12] - b[12] || a[0] - b[0])[0];
  }

  /** The channels whose first result is of one of these kinds, those with the oldest two, oldest first. */
  function placesOf(...kinds: readonly number[]): Place[] {
    return kinds.flatMap((kind) => heading.all(kind)).sort(inOrder);
  }

  return (request: PruneRequest): number => {
    counters.observe(request.now);
    const forgotten = keys.prune(request.now, request.limit);
    sweep.begin();
    channels.flush(); // what other calls of this transaction changed has to be in the index
    let removed = removeOld(request);
    for (const step of [removeOldDead, removeFinished, removeDead]) removed += step(request, request.limit - removed);
    channels.flush();
    return Math.max(removed, forgotten);
  };
}

/** When the first result of a channel was made, and the channel's id. */
type Place = [at: number, id: number];
const last: Place = [Infinity, Infinity];

function inOrder(a: Place, b: Place): number {
  return a[0] - b[0] || a[1] - b[1];
}

function isOver(kept: Room, bound: Room): boolean {
  return kept.jobs > bound.jobs || kept.bytes > bound.bytes;
}
