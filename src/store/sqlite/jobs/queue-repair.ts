/**
 * Repairs the queue. Its rows are copies of columns of the jobs, so no job is lost if damage removes, changes or adds a
 * row: a damaged row is removed, and then all jobs are read, a page per lease call, and waiting ones get their rows
 * again. Small files are compared with the counters when they are opened; in larger ones, a row that is missing without
 * another damaged row is not found.
 */
import { areRight } from "../integrity/checked-rows.ts";
import { mostIndexesBytes } from "../integrity/inspect.ts";
import type { Sql } from "../thread/connection.ts";
import { QUEUED } from "../thread/protocol.ts";
import type { Tables } from "../thread/tables.ts";
import { standingColumns, withProgressAndEnd } from "./job-rows.ts";
import { type CheckedPlace, placeColumns, placeOf } from "./ready-queue.ts";

/** Jobs that are read per call. */
export const jobsPerPage = 10_000;

export function createQueueRepair(sql: Sql, { counters, damage, leases, names, readyQueue }: Tables) {
  const page = sql`
    SELECT ${standingColumns} FROM job ${withProgressAndEnd}
    WHERE job.seq > ? ORDER BY job.seq LIMIT ${jobsPerPage}`;
  const places = sql<[...CheckedPlace, hasEnded: 0 | 1]>`
    SELECT ${placeColumns.join()}, checksum, EXISTS (SELECT 1 FROM ended WHERE ended.seq = waiting.seq) FROM waiting`;
  /** Damaged rows that were found at the start, removed by the first call. */
  let wrong: CheckedPlace[] = [];
  /** `seq` of the last job that was read; undefined: there is nothing to repair. */
  let walked: number | undefined;

  function compare(): void {
    const whole = new Map<number, number>();
    for (const row of places.iterate()) {
      const [pool, , , , seq, , , hasEnded] = row;
      if (hasEnded === 0 && areRight(row, 0, placeColumns)) whole.set(pool, (whole.get(pool) ?? 0) + 1);
      else {
        wrong.push(row as unknown as CheckedPlace);
        damage.inQueue(`the row of job number ${seq}`);
      }
    }
    const different = counters.queuedOf().filter(({ pool, queued }) => (whole.get(pool) ?? 0) !== queued);
    if (wrong.length + different.length > 0) walked = 0;
    if (wrong.length > 0) return;
    for (const { pool } of different) damage.inQueue(`the number of jobs of pool ${names.text(pool)}`);
  }

  const [pages] = sql<[number]>`PRAGMA page_count`.get()!;
  const [pageBytes] = sql<[number]>`PRAGMA page_size`.get()!;
  if (pages * pageBytes <= mostIndexesBytes) compare();
  return {
    /** Removes a damaged row. */
    drop: (place: CheckedPlace): void => {
      readyQueue.remove(place);
      damage.inQueue(`the row of job number ${place[4]}`);
      walked = 0;
    },
    /** Repairs the next page, if there is one. */
    walk: (): void => {
      if (walked === undefined) return;
      for (const place of wrong) readyQueue.remove(place);
      wrong = [];
      const rows = page.all(walked);
      for (const row of rows) {
        const job = leases.stateOf(row);
        if (job.state === QUEUED) readyQueue.add(placeOf(job));
      }
      readyQueue.flush();
      walked = rows.length < jobsPerPage ? undefined : (rows.at(-1)![0] as number);
    },
    isDue: () => walked !== undefined,
  };
}
