import type { DatabaseSync } from "node:sqlite";
import { prepareQuery } from "./connection.ts";
import { type Calls, QUEUED } from "./protocol.ts";

/** Higher than any priority. */
const aboveAll = 1_000;

export type Ready = {
  /** The highest priority below this one that any QUEUED job of the pool has; undefined: there is none. */
  nextPriority(pool: string, below?: number): number | undefined;
  /** The lowest `runAt` among the QUEUED jobs of a pool with this priority; undefined: there are none. */
  earliest(pool: string, priority: number): number | undefined;
  ahead(request: Calls["ahead"]["request"]): Calls["ahead"]["answer"];
  oldest(request: Calls["oldest"]["request"]): Calls["oldest"]["answer"];
};

/**
 * Questions to the index of jobs that wait, which is ordered by pool, priority, time and number. It is walked priority by
 * priority, and there are 201 at most: so however many wait, and for whatever time, an answer costs a few steps.
 */
export function createReady(db: DatabaseSync): Ready {
  const waiting = `FROM job INDEXED BY job_ready WHERE state = ${QUEUED} AND pool = ?`;
  const priorityBelow = prepareQuery<[number]>(
    db,
    `SELECT priority ${waiting} AND priority < ? ORDER BY priority DESC LIMIT 1`,
  );
  const first = prepareQuery<[number]>(db, `SELECT run_at ${waiting} AND priority = ? ORDER BY run_at LIMIT 1`);
  const place = prepareQuery<[string, number, number]>(
    db,
    `SELECT pool, priority, run_at FROM job WHERE seq = ? AND state = ${QUEUED}`,
  );
  const dueIn = prepareQuery<[number]>(
    db,
    `SELECT count(*) FROM (SELECT 1 ${waiting} AND priority = ? AND run_at <= ? LIMIT ?)`,
  );
  const dueBefore = prepareQuery<[number]>(
    db,
    `SELECT count(*) FROM (SELECT 1 ${waiting} AND priority = ? AND run_at <= ? AND (run_at, seq) < (?, ?) LIMIT ?)`,
  );
  const firstDead = prepareQuery<[number]>(
    db,
    "SELECT finished_at FROM dead_letter INDEXED BY dead_letter_age WHERE pool = ? ORDER BY finished_at LIMIT 1",
  );

  const nextPriority = (pool: string, below = aboveAll) => priorityBelow.get(pool, below)?.[0];
  const earliest = (pool: string, priority: number) => first.get(pool, priority)?.[0];

  function* priorities(pool: string): Generator<number> {
    for (let at = nextPriority(pool); at !== undefined; at = nextPriority(pool, at)) yield at;
  }

  function earliestOfAll(pool: string): number {
    let least = Infinity;
    for (const priority of priorities(pool)) least = Math.min(least, earliest(pool, priority)!);
    return least;
  }

  return {
    nextPriority,
    earliest,
    ahead: ({ seq, now, max }) => {
      const asked = place.get(seq);
      if (!asked) return null;
      const [pool, ownPriority, runAt] = asked;
      let before = 0;
      for (const priority of priorities(pool)) {
        if (priority <= ownPriority || before === max) break;
        before += dueIn.get(pool, priority, now, max - before)![0];
      }
      return before + dueBefore.get(pool, ownPriority, now, runAt, seq, max - before)![0];
    },
    oldest: ({ pools, now }) =>
      pools.map((pool) => {
        const dueAt = earliestOfAll(pool);
        return { dueAt: dueAt <= now ? dueAt : null, diedAt: firstDead.get(pool)?.[0] ?? null };
      }),
  };
}
