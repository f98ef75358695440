import type { DatabaseSync } from "node:sqlite";
import { type Counts, latestKeptMs, type Room } from "../../store.ts";
import { prepareQuery } from "../thread/connection.ts";
import { CANCELLED, DEAD, QUEUED, RUNNING, SUCCEEDED } from "../thread/protocol.ts";
import type { Names } from "./names.ts";

export type Counters = ReturnType<typeof createCounters>;

/**
 * How many jobs each pool holds in each state, the bytes kept of final ones, the newest `seq` and the latest time: in
 * memory, and written once at the end of each transaction that changed them, so that neither asking nor starting counts
 * any rows. Calls that write nothing come every second: their time alone makes a transaction once in `latestKeptMs`.
 */
export function createCounters(db: DatabaseSync, names: Names) {
  const write = db.prepare(`
    INSERT INTO pool_count (pool, queued, running, succeeded, dead, cancelled) VALUES (?, ?, ?, ?, ?, ?)
    ON CONFLICT (pool) DO UPDATE SET queued = excluded.queued, running = excluded.running,
      succeeded = excluded.succeeded, dead = excluded.dead, cancelled = excluded.cancelled`);
  const updateTotal = db.prepare("UPDATE total SET last_seq = ?, finished_bytes = ?, dead_bytes = ?, latest_at = ?");

  type PoolRow = [number, number, number, number, number, number];
  const stored = prepareQuery<PoolRow>(
    db,
    "SELECT pool, queued, running, succeeded, dead, cancelled FROM pool_count ORDER BY rowid",
  ).all();
  type Total = [lastSeq: number, finishedBytes: number, deadBytes: number, latestAt: number];
  let [lastSeq, finishedBytes, deadBytes, latestAt] = prepareQuery<Total>(
    db,
    "SELECT last_seq, finished_bytes, dead_bytes, latest_at FROM total",
  ).get()!;
  let writtenAt = latestAt;
  const pools = new Map(stored.map(([pool, ...jobs]) => [pool, jobs as number[]]));
  const changed = new Set<number>();
  let hasNewTotal = false;

  const sum = (...counted: readonly number[]) => {
    let jobs = 0;
    for (const counts of pools.values()) for (const state of counted) jobs += counts[state]!;
    return jobs;
  };

  return {
    /** Changes how many jobs of a pool are in a state (its number in `states`). */
    add: (pool: number, state: number, jobs: number): void => {
      if (jobs === 0) return;
      let counts = pools.get(pool);
      if (!counts) pools.set(pool, (counts = [0, 0, 0, 0, 0]));
      counts[state]! += jobs;
      changed.add(pool);
    },
    /** Changes how many bytes are kept of final jobs in such a state. */
    addBytes: (state: number, bytes: number): void => {
      if (state === DEAD) deadBytes += bytes;
      else finishedBytes += bytes;
      hasNewTotal = true;
    },
    counts: (): Counts => ({
      pools: [...pools].map(([pool, jobs]) => ({
        pool: names.text(pool),
        QUEUED: jobs[QUEUED]!,
        RUNNING: jobs[RUNNING]!,
        SUCCEEDED: jobs[SUCCEEDED]!,
        DEAD: jobs[DEAD]!,
        CANCELLED: jobs[CANCELLED]!,
      })),
    }),
    /** The pools that ever had a DEAD job that is kept. */
    poolsWithDead: () => [...pools].filter(([, jobs]) => jobs[DEAD]! > 0).map(([pool]) => pool),
    /** What is kept of SUCCEEDED and CANCELLED jobs. */
    finished: (): Room => ({ jobs: sum(SUCCEEDED, CANCELLED), bytes: finishedBytes }),
    dead: (): Room => ({ jobs: sum(DEAD), bytes: deadBytes }),
    /** The number for the next new job. */
    nextSeq: () => lastSeq + 1,
    /** A job has this number now: it is never given again, also after the job is gone. */
    takeSeq: (seq: number): void => {
      lastSeq = seq;
      hasNewTotal = true;
    },
    /** The latest time that was passed in, also by a former process. */
    latest: () => latestAt,
    /** What is written in this transaction happened at this time. */
    record: (at: number): void => {
      if (at > latestAt) latestAt = at;
      if (at > writtenAt) hasNewTotal = true;
    },
    /** A call came at this time; nothing may have been written. */
    observe: (at: number): void => {
      if (at > latestAt) latestAt = at;
      if (at >= writtenAt + latestKeptMs) hasNewTotal = true;
    },
    /** Seq, bytes and latest time are written in this transaction, changed or not. */
    writeTotal: (): void => {
      hasNewTotal = true;
    },
    flush: () => {
      for (const pool of changed) write.run(pool, ...pools.get(pool)!);
      changed.clear();
      if (!hasNewTotal) return;
      updateTotal.run(lastSeq, finishedBytes, deadBytes, latestAt);
      writtenAt = latestAt;
      hasNewTotal = false;
    },
  };
}
