import type { DatabaseSync } from "node:sqlite";
import type { Eligible } from "../../store.ts";
import { areRight, createRowWriter } from "../integrity/checked-rows.ts";
import { prepareQuery } from "../thread/connection.ts";
import {
  type Bytes,
  type JobNumbers,
  jobNumbers,
  type Nulls,
  type ProgressNumbers,
  progressNumbers,
} from "./job-rows.ts";
import type { RunningJob } from "./leases.ts";

/** Higher than any priority. */
const aboveAll = 1_000;

/** A waiting job's row, which is its place in the queue. */
export type Place = readonly [
  ...[pool: number, isSuspect: number, priority: number, runAt: number, seq: number],
  expiresAt: number | null,
];
export const placeColumns = ["pool", "is_suspect", "priority", "run_at", "seq", "expires_at"] as const;

/** A place with its checksum, the job in it, and what attempts so far left. Null: there is no such row. */
export type DueRow = [
  ...[pool: number, isSuspect: number, priority: number, runAt: number, seq: number],
  ...[expiresAt: number | null, checksum: number],
  ...job: Nulls<JobNumbers>,
  ...[record: Bytes | null, rest: Bytes | null, id: Bytes | null],
  ...progress: Nulls<ProgressNumbers>,
];
/** Where its parts begin. */
export const jobAt = 7;
export const recordAt = 17;
export const progressAt = 20;

const dueColumns = `${[...placeColumns, "checksum"].map((name) => `waiting.${name}`).join()},
  ${jobNumbers}, job.record, job.rest, job.id, ${progressNumbers}`;

/** A job that was submitted in this transaction, so that nothing of it has to be read. */
export type FreshJob = Pick<RunningJob, "seq" | "client" | "channel" | "pool" | "priority" | "runAt" | "expiresAt"> & {
  readonly record: Uint8Array;
};

/** `nextDueAt`: when the first of those that stay is due; Infinity when none stays. */
export type Fresh = { readonly jobs: readonly FreshJob[]; readonly nextDueAt: number };

export type ReadyQueue = ReturnType<typeof createReadyQueue>;

/**
 * The jobs that wait, ordered by pool, priority, time and number; suspects in a queue of their own. It is walked priority
 * by priority, and there are 201 at most: so however many wait, and for whatever time, an answer takes a few look-ups.
 *
 * A job is written into the queue at the end of the transaction that submits it, or when its pool is asked for rows before.
 * Most jobs are leased within that transaction, and then they never get a row: `takeFresh` gives them out of memory as long
 * as nothing that was written before is due. A crash in between costs nothing, since job, lease and row commit together.
 */
export function createReadyQueue(db: DatabaseSync) {
  const rows = createRowWriter(db, "INSERT OR REPLACE INTO waiting", placeColumns);
  const erase = db.prepare(
    "DELETE FROM waiting WHERE pool = ? AND is_suspect = ? AND priority = ? AND run_at = ? AND seq = ?",
  );
  const search = db.prepare("DELETE FROM waiting WHERE seq = ?");
  const inQueue = "FROM waiting WHERE pool = ? AND is_suspect = ?";
  const withJob = "LEFT JOIN job ON job.seq = waiting.seq LEFT JOIN progress ON progress.seq = waiting.seq";
  const due = prepareQuery<DueRow>(
    db,
    `SELECT ${dueColumns} FROM waiting ${withJob}
     WHERE waiting.pool = ? AND is_suspect = ? AND waiting.priority = ? AND waiting.run_at <= ?
     ORDER BY waiting.run_at, waiting.seq LIMIT ? + 0`,
  );
  const overdue = prepareQuery<DueRow>(
    db,
    `SELECT ${dueColumns} FROM waiting INDEXED BY waiting_deadline ${withJob}
     WHERE waiting.pool = ? AND waiting.expires_at <= ? ORDER BY waiting.expires_at, waiting.seq LIMIT ? + 0`,
  );
  const priorityBelow = prepareQuery<[number]>(
    db,
    `SELECT priority ${inQueue} AND priority < ? ORDER BY priority DESC LIMIT 1`,
  );
  const first = prepareQuery<[number]>(db, `SELECT run_at ${inQueue} AND priority = ? ORDER BY run_at LIMIT 1`);
  const dueIn = prepareQuery<[number]>(
    db,
    `SELECT count(*) FROM (SELECT 1 ${inQueue} AND priority = ? AND run_at <= ? LIMIT ? + 0)`,
  );
  const dueBefore = prepareQuery<[number]>(
    db,
    `SELECT count(*) FROM (SELECT 1 ${inQueue} AND priority = ? AND run_at <= ? AND (run_at, seq) < (?, ?) LIMIT ? + 0)`,
  );
  /** By pool. */
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

  const writtenPriority = (pool: number, isSuspect: number, below = aboveAll) =>
    priorityBelow.get(pool, isSuspect, below)?.[0];

  const earliest = (pool: number, isSuspect: number, priority: number) => first.get(pool, isSuspect, priority)?.[0];

  function* priorities(pool: number, isSuspect: number): Generator<number> {
    let at = writtenPriority(pool, isSuspect);
    for (; at !== undefined; at = writtenPriority(pool, isSuspect, at)) yield at;
  }

  /** The lowest `runAt` of the rows that are written, or one that is not above `enough`. */
  function earliestWritten(pool: number, isSuspect: number, enough = -Infinity): number {
    let least = Infinity;
    for (const priority of priorities(pool, isSuspect)) {
      least = Math.min(least, earliest(pool, isSuspect, priority)!);
      if (least <= enough) break;
    }
    return least;
  }

  return {
    /** Puts a job in its place; written by `flush`, or before its pool is next asked for rows. */
    add: (place: Place, fresh?: FreshJob): void => {
      const added = unwritten.get(place[0]);
      if (added) added.push({ place, fresh });
      else unwritten.set(place[0], [{ place, fresh }]);
    },
    /**
     * The due jobs of a pool in their order when all of them were submitted in this transaction, as many as `limit` and
     * `maxBytes` allow: they leave the queue before they were written into it. Undefined: others are due, too.
     */
    takeFresh,
    remove: ([pool, isSuspect, priority, runAt, seq]: readonly [...Place, ...unknown[]]): void => {
      flushPool(pool);
      erase.run(pool, isSuspect, priority, runAt, seq);
    },
    /** The same of a job whose place is not known any more, for its numbers are damaged. */
    removeDamaged: (seq: number): void => {
      flush(unwritten.keys());
      search.run(seq);
    },
    /** The due jobs of one priority, the earliest first. */
    due: (pool: number, isSuspect: number, priority: number, now: number, limit: number): DueRow[] =>
      due.all(pool, isSuspect, priority, now, limit),
    /** The jobs whose deadline has passed. */
    overdue: (pool: number, now: number, limit: number): DueRow[] => {
      flushPool(pool);
      return overdue.all(pool, now, limit);
    },
    /** The highest priority below this one that any job of the pool has; undefined: there is none. */
    nextPriority: (pool: number, isSuspect: number, below?: number): number | undefined => {
      flushPool(pool);
      return writtenPriority(pool, isSuspect, below);
    },
    /** The lowest `runAt` among the jobs of a pool with this priority; undefined: there are none. */
    earliest,
    earliestOfAll: (pool: number): number => {
      flushPool(pool);
      return Math.min(earliestWritten(pool, 0), earliestWritten(pool, 1));
    },
    /** How many due jobs come before this place, up to `max`. */
    before: ([pool, isSuspect, own, runAt, seq]: Place, now: number, max: number): number => {
      flushPool(pool);
      let before = 0;
      for (const priority of priorities(pool, isSuspect)) {
        if (priority <= own || before === max) break;
        before += dueIn.get(pool, isSuspect, priority, now, max - before)![0];
      }
      return before + dueBefore.get(pool, isSuspect, own, now, runAt, seq, max - before)![0];
    },
    /** The eligible jobs of a pool, counted up to `max`. */
    eligible: (pool: number, now: number, max: number): Eligible => {
      flushPool(pool);
      let jobs = 0;
      let oldestAt = Infinity;
      for (const priority of priorities(pool, 0)) {
        oldestAt = Math.min(oldestAt, earliest(pool, 0, priority)!);
        if (jobs < max) jobs += dueIn.get(pool, 0, priority, now, max - jobs)![0];
      }
      return { jobs, oldestAt: oldestAt <= now ? oldestAt : null };
    },
    flush: () => flush(unwritten.keys()),
  };
}

/** Whether a place is what was written, and names a job. */
export function isRightPlace(row: DueRow): boolean {
  return row[jobAt] !== null && areRight(row, 0, placeColumns);
}
