import type { Sql } from "../thread/connection.ts";
import { QUEUED, type Verbs } from "../thread/protocol.ts";
import type { Tables } from "../thread/tables.ts";
import { standingColumns, withProgressAndEnd } from "./job-rows.ts";
import { placeOf } from "./ready-queue.ts";

/** The lengths of the queues, and the position of a job. */
export function createQueueStats(sql: Sql, { leases, names, readyQueue }: Tables) {
  const bySeq = sql`SELECT ${standingColumns} FROM job ${withProgressAndEnd} WHERE job.seq = ?`;
  const firstDead = sql<[number]>`
    SELECT finished_at FROM ended INDEXED BY dead_age
    WHERE state = 3 AND id IS NULL AND pool = ? ORDER BY finished_at LIMIT 1`;
  return {
    ahead: ({ seq, now, max }) => {
      const row = bySeq.get(seq);
      const job = row && leases.stateOf(row);
      return job?.state === QUEUED ? readyQueue.before(placeOf(job), now, max) : null;
    },
    eligible: ({ pools, now }) =>
      pools.map(({ pool: name, max }) => {
        const pool = names.find(name);
        return pool === undefined ? { jobs: 0, oldestAt: null } : readyQueue.eligible(pool, now, max);
      }),
    oldest: ({ pools, now }) =>
      pools.map((name) => {
        const pool = names.find(name);
        if (pool === undefined) return { dueAt: null, diedAt: null };
        const dueAt = readyQueue.earliestOfAll(pool);
        return { dueAt: dueAt <= now ? dueAt : null, diedAt: firstDead.get(pool)?.[0] ?? null };
      }),
  } satisfies Partial<Verbs>;
}
