import { isSuspect } from "../../../job/job.ts";
import type { Eligible } from "../../store.ts";
import { createRowWriter } from "../integrity/checked-rows.ts";
import type { Sql } from "../thread/connection.ts";
import { endedAt, type StoredState, waitingColumns, withProgress } from "./job-rows.ts";

/** The row of a waiting job, which is its place in the queue. */
export type Place = readonly [
  ...[pool: number, isSuspect: number, priority: number, runAt: number, seq: number],
  expiresAt: number | null,
];
export const placeColumns = ["pool", "is_suspect", "priority", "run_at", "seq", "expires_at"] as const;
export type CheckedPlace = readonly [...Place, checksum: number];

/** SQL: a job (null: it is missing), the rest of its record, and its place with the checksum. */
const dueColumns = `${waitingColumns}, job.rest, ${[...placeColumns, "checksum"].map((name) => `waiting.${name}`).join()}`;
export type DueRow = readonly unknown[];
export const restAt = endedAt;
export const placeIn = (row: DueRow) => row.slice(restAt + 1) as unknown as CheckedPlace;

/** Above any value, for queries without a bound. */
const max = Number.MAX_SAFE_INTEGER;

/** A job that was submitted in this transaction, so that no row of it needs to be read. */
export type FreshJob = Pick<StoredState, "seq" | "client" | "channel" | "pool" | "priority" | "runAt" | "expiresAt"> & {
  readonly record: Uint8Array;
};

/** `nextDueAt`: when the first of the remaining jobs is due; Infinity: there are none. */
export type Fresh = { readonly jobs: readonly FreshJob[]; readonly nextDueAt: number };

export type ReadyQueue = ReturnType<typeof createReadyQueue>;

/**
 * The waiting jobs, ordered by pool, priority, time and `seq`; suspects have a queue of their own. It is searched
 * priority by priority, of which there are at most 201, so that any answer takes a few look-ups, however many jobs
 * wait.
 *
 * The row of a job is written at the end of the transaction that submits it, or earlier if rows of its pool are read.
 * Most jobs are leased within that transaction and never get a row: `takeFresh` returns them from memory while no job
 * with a row is due. A crash in between loses nothing, because job, lease and row are committed together.
 */
export function createReadyQueue(sql: Sql) {
  const rows = createRowWriter(sql, "INSERT OR REPLACE INTO waiting", placeColumns);
  const erase = sql`
    DELETE FROM waiting WHERE pool = ? AND is_suspect = ? AND priority = ? AND run_at = ? AND seq = ?`;
  const search = sql`DELETE FROM waiting WHERE seq = ?`;
  const inQueue = "FROM waiting WHERE pool = ? AND is_suspect = ?";
  const withJob = `LEFT JOIN job ON job.seq = waiting.seq ${withProgress}`;
  const due = sql`
    SELECT ${dueColumns} FROM waiting ${withJob}
    WHERE waiting.pool = ? AND is_suspect = ? AND waiting.priority = ? AND waiting.run_at <= ?
    ORDER BY waiting.run_at, waiting.seq LIMIT ? + 0`;
  const overdue = sql`
    SELECT ${dueColumns} FROM waiting INDEXED BY waiting_deadline ${withJob}
    WHERE waiting.pool = ? AND waiting.expires_at <= ? ORDER BY waiting.expires_at, waiting.seq LIMIT ? + 0`;
  const priorityBelow = sql<[number]>`SELECT priority ${inQueue} AND priority < ? ORDER BY priority DESC LIMIT 1`;
  const first = sql<[number]>`SELECT run_at ${inQueue} AND priority = ? ORDER BY run_at LIMIT 1`;
  const dueBefore = sql<[number]>`
    SELECT count(*) FROM (
      SELECT 1 ${inQueue} AND priority = ? AND run_at <= ? AND (run_at, seq) < (?, ?) LIMIT ? + 0)`;
  /** Places without a row yet, by pool. */
  const unwritten = new Map<number, { readonly place: Place; readonly fresh: FreshJob | undefined }[]>();

  function flush(pools: Iterable<number>): void {
    for (const pool of pools) {
      for (const { place } of unwritten.get(pool) ?? []) rows.add(place);
      unwritten.delete(pool);
    }
    rows.flush();
  }

  function flushPool(pool: number): void {
    if (unwritten.has(pool)) flush([pool]);
  }

  function takeFresh(pool: number, now: number, limit: number, maxBytes: number): Fresh | undefined {
    const added = unwritten.get(pool) ?? [];
    const waiting = added.filter(({ place }) => place[1] === 0);
    if (waiting.length === 0 || waiting.some(({ fresh }) => fresh === undefined)) return undefined;
    let nextDueAt = earliestWritten(pool, 0, now);
    if (nextDueAt <= now) return undefined;
    const due = waiting.flatMap(({ fresh }) => (fresh!.runAt <= now ? fresh! : []));
    due.sort((a, b) => b.priority - a.priority || a.runAt - b.runAt || a.seq - b.seq);
    const jobs: FreshJob[] = [];
    for (let bytes = 0; jobs.length < Math.min(limit, due.length) && bytes < maxBytes; ) {
      const job = due[jobs.length]!;
      jobs.push(job);
      bytes += job.record.length;
    }
    const taken = new Set<FreshJob | undefined>(jobs);
    const left = added.filter(({ fresh }) => !taken.has(fresh));
    unwritten.set(pool, left);
    for (const { fresh } of waiting)
      if (!taken.has(fresh)) nextDueAt = Math.min(nextDueAt, Math.max(fresh!.runAt, now));
    return { jobs, nextDueAt };
  }

  /** The priorities of written rows, highest first. */
  function* priorities(pool: number, isSuspect: number): Generator<number> {
    let at = priorityBelow.get(pool, isSuspect, max);
    for (; at; at = priorityBelow.get(pool, isSuspect, at[0])) yield at[0];
  }

  const earliest = (pool: number, isSuspect: number, priority: number) =>
    first.get(pool, isSuspect, priority)?.[0] ?? Infinity;

  /** The lowest `runAt` of written rows, or any that is not above `enough`. */
  function earliestWritten(pool: number, isSuspect: number, enough = -Infinity): number {
    let least = Infinity;
    for (const priority of priorities(pool, isSuspect)) {
      least = Math.min(least, earliest(pool, isSuspect, priority));
      if (least <= enough) break;
    }
    return least;
  }

  /** Number of due jobs above this priority, counted up to `most`. */
  function countAbove(above: number, pool: number, isSuspect: number, now: number, most: number): number {
    let jobs = 0;
    for (const priority of priorities(pool, isSuspect)) {
      if (priority <= above || jobs === most) break;
      jobs += dueBefore.get(pool, isSuspect, priority, now, max, max, most - jobs)![0];
    }
    return jobs;
  }

  return {
    /** Adds a job. Its row is written by `flush`, or before rows of its pool are read. */
    add: (place: Place, fresh?: FreshJob): void => {
      const added = unwritten.get(place[0]);
      if (added) added.push({ place, fresh });
      else unwritten.set(place[0], [{ place, fresh }]);
    },
    /**
     * Removes and returns due jobs of a pool in order, as many as `limit` and `maxBytes` allow, if all of them were
     * submitted in this transaction: they never get a row. Undefined: other jobs are due, too.
     */
    takeFresh,
    remove: ([pool, isSuspect, priority, runAt, seq]: Place | CheckedPlace): void => {
      flushPool(pool);
      erase.run(pool, isSuspect, priority, runAt, seq);
    },
    /** The same for a job whose place is unknown, because its numbers are damaged. */
    removeDamaged: (seq: number): void => {
      flush(unwritten.keys());
      search.run(seq);
    },
    /** The due jobs of one priority, earliest first. */
    due: (pool: number, isSuspect: number, priority: number, now: number, limit: number): DueRow[] =>
      due.all(pool, isSuspect, priority, now, limit),
    /** The jobs whose deadline has passed. */
    overdue: (pool: number, now: number, limit: number): DueRow[] => {
      flushPool(pool);
      return overdue.all(pool, now, limit);
    },
    /** The priorities of a pool's jobs, highest first; jobs may be removed during the iteration. */
    priorities: (pool: number, isSuspect: number): Iterable<number> => {
      flushPool(pool);
      return priorities(pool, isSuspect);
    },
    /** The lowest `runAt` of a pool's jobs with this priority; Infinity: there are none. */
    earliest,
    earliestOfAll: (pool: number): number => {
      flushPool(pool);
      return Math.min(earliestWritten(pool, 0), earliestWritten(pool, 1));
    },
    /** Number of due jobs before this place, counted up to `most`. */
    before: ([pool, isSuspect, priority, runAt, seq]: Place, now: number, most: number): number => {
      flushPool(pool);
      const above = countAbove(priority, pool, isSuspect, now, most);
      return above + dueBefore.get(pool, isSuspect, priority, now, runAt, seq, most - above)![0];
    },
    /** Number of eligible jobs of a pool, counted up to `most`. */
    eligible: (pool: number, now: number, most: number): Eligible => {
      flushPool(pool);
      const oldestAt = earliestWritten(pool, 0);
      return { jobs: countAbove(-Infinity, pool, 0, now, most), oldestAt: oldestAt <= now ? oldestAt : null };
    },
    flush: () => flush(unwritten.keys()),
  };
}

/** The place of a waiting job in the queue. */
export function placeOf({ pool, crashes, priority, runAt, seq, expiresAt }: StoredState): Place {
  return [pool, isSuspect({ crashes }) ? 1 : 0, priority, runAt, seq, expiresAt];
}
