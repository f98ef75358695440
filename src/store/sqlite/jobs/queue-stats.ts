import type { DatabaseSync } from "node:sqlite";
import { prepareQuery } from "../thread/connection.ts";
import { type Calls, QUEUED } from "../thread/protocol.ts";
import type { Tables } from "../thread/tables.ts";
import { placeOf, storedColumns, toState, withProgressAndEnd } from "./stored-jobs.ts";

/** How long the queues are, for those who wait in them and those who watch them. */
export function createQueueStats(db: DatabaseSync, { leases, names, readyQueue }: Tables) {
  const bySeq = prepareQuery<(number | null)[]>(
    db,
    `SELECT ${storedColumns} FROM job ${withProgressAndEnd} WHERE job.seq = ?`,
  );
  const firstDead = prepareQuery<[number]>(
    db,
    "SELECT finished_at FROM ended INDEXED BY dead_age WHERE state = 3 AND id IS NULL AND pool = ? ORDER BY finished_at LIMIT 1",
  );
  return {
    ahead: ({ seq, now, max }: Calls["ahead"]["request"]): Calls["ahead"]["answer"] => {
      const row = bySeq.get(seq);
      const job = row && toState(row, leases);
      return job?.state === QUEUED ? readyQueue.before(placeOf(job), now, max) : null;
    },
    eligible: ({ pools, now }: Calls["eligible"]["request"]): Calls["eligible"]["answer"] =>
      pools.map(({ pool: name, max }) => {
        const pool = names.find(name);
        return pool === undefined ? { jobs: 0, oldestAt: null } : readyQueue.eligible(pool, now, max);
      }),
    oldest: ({ pools, now }: Calls["oldest"]["request"]): Calls["oldest"]["answer"] =>
      pools.map((name) => {
        const pool = names.find(name);
        if (pool === undefined) return { dueAt: null, diedAt: null };
        const dueAt = readyQueue.earliestOfAll(pool);
        return { dueAt: dueAt <= now ? dueAt : null, diedAt: firstDead.get(pool)?.[0] ?? null };
      }),
  };
}
