import type { DatabaseSync } from "node:sqlite";
import type { Counts } from "../store.ts";
import { prepareQuery } from "./connection.ts";

export type Counters = {
  /** Changes how many jobs of a pool are in a state (its number in `states`). */
  add(pool: string, state: number, jobs: number): void;
  counts(): Counts;
  /** The number for the next new job. */
  nextSeq(): number;
  /** Says that a job has this number now: it is never given again, also after the job is gone. */
  takeSeq(seq: number): void;
  flush(): void;
};

/**
 * How many jobs each pool holds in each state, and the newest `seq`: in memory, and written once at the end of each
 * transaction that changed them, so that neither asking nor starting counts any rows.
 */
export function createCounters(db: DatabaseSync): Counters {
  const write = db.prepare(`
    INSERT INTO pool_count (pool, queued, running, succeeded, dead, cancelled) VALUES (?, ?, ?, ?, ?, ?)
    ON CONFLICT (pool) DO UPDATE SET queued = excluded.queued, running = excluded.running,
      succeeded = excluded.succeeded, dead = excluded.dead, cancelled = excluded.cancelled`);
  const writeSeq = db.prepare("UPDATE last_seq SET value = ?");

  type PoolRow = [string, number, number, number, number, number];
  const stored = prepareQuery<PoolRow>(
    db,
    "SELECT pool, queued, running, succeeded, dead, cancelled FROM pool_count ORDER BY rowid",
  ).all();
  const pools = new Map(stored.map(([pool, ...jobs]) => [pool, jobs as number[]]));
  const changed = new Set<string>();
  let lastSeq = prepareQuery<[number]>(db, "SELECT value FROM last_seq").get()![0];
  let storedSeq = lastSeq;

  return {
    add: (pool, state, jobs) => {
      let counts = pools.get(pool);
      if (!counts) pools.set(pool, (counts = [0, 0, 0, 0, 0]));
      counts[state]! += jobs;
      changed.add(pool);
    },
    counts: () => ({
      pools: [...pools].map(([pool, [QUEUED = 0, RUNNING = 0, SUCCEEDED = 0, DEAD = 0, CANCELLED = 0]]) => ({
        pool,
        QUEUED,
        RUNNING,
        SUCCEEDED,
        DEAD,
        CANCELLED,
      })),
    }),
    nextSeq: () => lastSeq + 1,
    takeSeq: (seq) => {
      lastSeq = seq;
    },
    flush: () => {
      for (const pool of changed) write.run(pool, ...pools.get(pool)!);
      changed.clear();
      if (lastSeq === storedSeq) return;
      writeSeq.run(lastSeq);
      storedSeq = lastSeq;
    },
  };
}
