/**
 * Repairs the queue. Its rows repeat those of the jobs, so a row that damage took, moved or made costs no job its turn:
 * a wrong row is removed, and then all jobs are walked, a page with each lease call, and those that wait get their places.
 * Files that are small enough are compared with the counters when they are opened; in larger ones a row that no lease call
 * meets stays lost.
 */
import { areRight } from "../integrity/checked-rows.ts";
import { mostIndexesBytes } from "../integrity/inspect.ts";
import type { Sql } from "../thread/connection.ts";
import { QUEUED } from "../thread/protocol.ts";
import type { Tables } from "../thread/tables.ts";
import { standingColumns, withProgressAndEnd } from "./job-rows.ts";
import { type CheckedPlace, placeColumns, placeOf } from "./ready-queue.ts";

/** Jobs that one call walks. */
export const jobsPerPage = 10_000;

export function createQueueRepair(sql: Sql, { counters, damage, leases, names, readyQueue }: Tables) {
  const page = sql`
    SELECT ${standingColumns} FROM job ${withProgressAndEnd}
    WHERE job.seq > ? ORDER BY job.seq LIMIT ${jobsPerPage}`;
  const places = sql<[...CheckedPlace, hasEnded: 0 | 1]>`
    SELECT ${placeColumns.join()}, checksum, EXISTS (SELECT 1 FROM ended WHERE ended.seq = waiting.seq) FROM waiting`;
  /** Found at the start, removed by the first call. */
  let wrong: CheckedPlace[] = [];
  /** Seq of the last job that was walked; undefined: there is nothing to repair. */
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
    /** Removes a row that damage made. */
    drop: (place: CheckedPlace): void => {
      readyQueue.remove(place);
      damage.inQueue(`the row of job number ${place[4]}`);
      walked = 0;
    },
    /** Walks the next page, if it is due. */
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
