import type { DatabaseSync } from "node:sqlite";
import { isSuspect, suspectAfterCrashes } from "../../job/job.ts";
import { prepareQuery } from "./connection.ts";
import { type Calls, QUEUED } from "./protocol.ts";

/** Higher than any priority. */
const aboveAll = 1_000;

/** The QUEUED jobs of each pool in the order of their turn: those that suspicion is on, or all others. */
export type Line = {
  /** SQL that finds them, and names their index; more conditions may follow. */
  readonly sql: string;
  /** The highest priority below this one that any job of the pool has; undefined: there is none. */
  nextPriority(pool: string, below?: number): number | undefined;
  /** The lowest `runAt` among the jobs of a pool with this priority; undefined: there are none. */
  earliest(pool: string, priority: number): number | undefined;
};

export type Ready = {
  readonly ordinary: Line;
  readonly suspects: Line;
  ahead(request: Calls["ahead"]["request"]): Calls["ahead"]["answer"];
  oldest(request: Calls["oldest"]["request"]): Calls["oldest"]["answer"];
};

/**
 * Questions to the indexes of jobs that wait, which are ordered by pool, priority, time and number. They are walked
 * priority by priority, and there are 201 at most: so however many wait, and for whatever time, an answer costs a few
 * steps.
 */
export function createReady(db: DatabaseSync): Ready {
  const ordinary = createLine(db, "job_ready", `crashes < ${suspectAfterCrashes}`);
  const suspects = createLine(db, "job_suspect", `crashes >= ${suspectAfterCrashes}`);
  const place = prepareQuery<[string, number, number, number]>(
    db,
    `SELECT pool, priority, run_at, crashes FROM job WHERE seq = ? AND state = ${QUEUED}`,
  );
  const firstDead = prepareQuery<[number]>(
    db,
    "SELECT finished_at FROM dead_letter INDEXED BY dead_letter_age WHERE pool = ? ORDER BY finished_at LIMIT 1",
  );

  return {
    ordinary,
    suspects,
    ahead: ({ seq, now, max }) => {
      const asked = place.get(seq);
      if (!asked) return null;
      const [pool, priority, runAt, crashes] = asked;
      return (isSuspect({ crashes }) ? suspects : ordinary).before({ pool, priority, runAt, seq }, now, max);
    },
    oldest: ({ pools, now }) =>
      pools.map((pool) => {
        const dueAt = Math.min(ordinary.earliestOfAll(pool), suspects.earliestOfAll(pool));
        return { dueAt: dueAt <= now ? dueAt : null, diedAt: firstDead.get(pool)?.[0] ?? null };
      }),
  };
}

type Place = { readonly pool: string; readonly priority: number; readonly runAt: number; readonly seq: number };

function createLine(db: DatabaseSync, index: string, condition: string) {
  const sql = `FROM job INDEXED BY ${index} WHERE state = ${QUEUED} AND ${condition} AND pool = ?`;
  const priorityBelow = prepareQuery<[number]>(
    db,
    `SELECT priority ${sql} AND priority < ? ORDER BY priority DESC LIMIT 1`,
  );
  const first = prepareQuery<[number]>(db, `SELECT run_at ${sql} AND priority = ? ORDER BY run_at LIMIT 1`);
  const dueIn = prepareQuery<[number]>(
    db,
    `SELECT count(*) FROM (SELECT 1 ${sql} AND priority = ? AND run_at <= ? LIMIT ?)`,
  );
  const dueBefore = prepareQuery<[number]>(
    db,
    `SELECT count(*) FROM (SELECT 1 ${sql} AND priority = ? AND run_at <= ? AND (run_at, seq) < (?, ?) LIMIT ?)`,
  );
  const nextPriority = (pool: string, below = aboveAll) => priorityBelow.get(pool, below)?.[0];
  const earliest = (pool: string, priority: number) => first.get(pool, priority)?.[0];

  function* priorities(pool: string): Generator<number> {
    for (let at = nextPriority(pool); at !== undefined; at = nextPriority(pool, at)) yield at;
  }

  return {
    sql,
    nextPriority,
    earliest,
    earliestOfAll(pool: string): number {
      let least = Infinity;
      for (const priority of priorities(pool)) least = Math.min(least, earliest(pool, priority)!);
      return least;
    },
    /** How many due jobs come before this one, up to `max`. */
    before({ pool, priority: own, runAt, seq }: Place, now: number, max: number): number {
      let before = 0;
      for (const priority of priorities(pool)) {
        if (priority <= own || before === max) break;
        before += dueIn.get(pool, priority, now, max - before)![0];
      }
      return before + dueBefore.get(pool, own, now, runAt, seq, max - before)![0];
    },
  };
}
