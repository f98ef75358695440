import { type Counts, latestKeptMs, type Room } from "../../store.ts";
import type { Sql } from "../thread/connection.ts";
import { CANCELLED, DEAD, QUEUED, RUNNING, SUCCEEDED } from "../thread/protocol.ts";
import type { Names } from "./names.ts";

export type Counters = ReturnType<typeof createCounters>;

/**
 * The number of jobs of each pool in each state, the bytes of final ones, the newest `seq`, the latest time and the
 * number of transactions. They are kept in memory, and written at the end of each transaction that wrote anything, so
 * that neither queries nor the start count rows. Calls that write nothing come every second: their time is only written
 * once per `latestKeptMs`.
 */
export function createCounters(sql: Sql, names: Names) {
  type Counted = [queued: number, running: number, succeeded: number, dead: number, cancelled: number];
  const write = sql`
    INSERT INTO pool_count (pool, queued, running, succeeded, dead, cancelled) VALUES (?, ?, ?, ?, ?, ?)
    ON CONFLICT (pool) DO UPDATE SET queued = excluded.queued, running = excluded.running,
      succeeded = excluded.succeeded, dead = excluded.dead, cancelled = excluded.cancelled`;
  const writeTotal = sql<[commits: number]>`
    UPDATE total SET last_seq = ?, finished_bytes = ?, dead_bytes = ?, latest_at = ?, commits = commits + 1 RETURNING commits`;
  const stored = sql<[pool: number, ...Counted]>`
    SELECT pool, queued, running, succeeded, dead, cancelled FROM pool_count ORDER BY rowid`;
  let [lastSeq, finishedBytes, deadBytes, latestAt] = sql<[number, number, number, number]>`
    SELECT last_seq, finished_bytes, dead_bytes, latest_at FROM total`.get()!;
  let writtenAt = latestAt;
  const pools = new Map(stored.all().map(([pool, ...jobs]) => [pool, jobs]));
  const changed = new Set<number>();

  const sum = (...counted: readonly number[]) => {
    let jobs = 0;
    for (const counts of pools.values()) for (const state of counted) jobs += counts[state]!;
    return jobs;
  };

  return {
    /** Changes the number of a pool's jobs in a state (an index of `states`), and the bytes of final ones. */
    add: (pool: number, state: number, jobs: number, bytes = 0): void => {
      if (jobs === 0) return;
      let counts = pools.get(pool);
      if (!counts) pools.set(pool, (counts = [0, 0, 0, 0, 0]));
      counts[state]! += jobs;
      changed.add(pool);
      if (state === DEAD) deadBytes += bytes;
      else finishedBytes += bytes;
    },
    counts: (): Counts => ({
      pools: [...pools].map(([pool, jobs]) => ({
        pool: names.text(pool),
        QUEUED: jobs[QUEUED],
        RUNNING: jobs[RUNNING],
        SUCCEEDED: jobs[SUCCEEDED],
        DEAD: jobs[DEAD],
        CANCELLED: jobs[CANCELLED],
      })),
    }),
    queuedOf: () => [...pools].map(([pool, jobs]) => ({ pool, queued: jobs[QUEUED] })),
    poolsWithDead: () => [...pools].filter(([, jobs]) => jobs[DEAD] > 0).map(([pool]) => pool),
    /** Number and bytes of SUCCEEDED and CANCELLED jobs. */
    finished: (): Room => ({ jobs: sum(SUCCEEDED, CANCELLED), bytes: finishedBytes }),
    dead: (): Room => ({ jobs: sum(DEAD), bytes: deadBytes }),
    /** The `seq` of the next new job. */
    nextSeq: () => lastSeq + 1,
    /** A job has this `seq` now, which is never reused, even after the job is removed. */
    takeSeq: (seq: number): void => {
      lastSeq = seq;
    },
    /** The latest time of any call, also of previous processes. */
    latest: () => latestAt,
    /** Records the time of a call. */
    observe: (at: number): void => {
      latestAt = Math.max(latestAt, at);
    },
    /** Ends a transaction; returns its number. Undefined: it wrote nothing, and the time need not be written yet. */
    commit: (hasWritten: boolean): number | undefined => {
      for (const pool of changed) write.run(pool, ...pools.get(pool)!);
      changed.clear();
      if (!hasWritten && latestAt < writtenAt + latestKeptMs) return undefined;
      writtenAt = latestAt;
      return writeTotal.get(lastSeq, finishedBytes, deadBytes, latestAt)![0];
    },
  };
}
