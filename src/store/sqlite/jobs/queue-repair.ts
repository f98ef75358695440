/**
 * Repairs the queue. Its rows repeat those of the jobs, so a row that damage took, moved or made costs no job
 * its turn. A wrong row is removed, and its job gets its place back at once when the row still shows whose it was.
 * Otherwise all jobs are walked, a page with each lease call, and those that wait get their places. Files that are small
 * enough are compared with the counters when they are opened; in larger ones a row that no lease call meets stays lost.
 */
import type { DatabaseSync } from "node:sqlite";
import { areRight, checksum } from "../integrity/checked-rows.ts";
import { mostIndexesBytes } from "../integrity/inspect.ts";
import { prepareQuery, prepareTuples } from "../thread/connection.ts";
import { QUEUED } from "../thread/protocol.ts";
import type { Tables } from "../thread/tables.ts";
import { type Place, placeColumns } from "./ready-queue.ts";
import { placeOf, storedColumns, toState, withProgressAndEnd } from "./stored-jobs.ts";

/** Jobs that one call walks. */
export const jobsPerPage = 10_000;

type Row = readonly [...Place, checksum: number, ...unknown[]];

export function createQueueRepair(db: DatabaseSync, { counters, damage, leases, names, readyQueue }: Tables) {
  const jobs = `SELECT ${storedColumns} FROM job ${withProgressAndEnd} WHERE job.seq`;
  const bySeq = prepareTuples(db, `${jobs} = ?`);
  const page = prepareTuples(db, `${jobs} > ? ORDER BY job.seq LIMIT ${jobsPerPage}`);
  const places = prepareTuples(
    db,
    `SELECT ${placeColumns.join()}, checksum, EXISTS (SELECT 1 FROM ended WHERE ended.seq = waiting.seq) FROM waiting`,
  );
  /** Found at the start, removed by the first call. */
  let wrong: Row[] = [];
  /** Seq of the last job that was walked; undefined: there is nothing to repair. */
  let walked: number | undefined;

  function compare(): void {
    const whole = new Map<number, number>();
    for (const row of places.iterate() as unknown as Iterable<Row>) {
      const hasEnded = row[7] === 1;
      if (areRight(row, 0, placeColumns) && !hasEnded) whole.set(row[0], (whole.get(row[0]) ?? 0) + 1);
      else wrong.push(row);
    }
    const different = counters.counts().pools.filter(({ pool, QUEUED: queued }) => {
      return (whole.get(names.find(pool) ?? 0) ?? 0) !== queued;
    });
    for (const [, , , , seq] of wrong) damage.inQueue(`the row of job number ${seq}`);
    if (wrong.length === 0) for (const { pool } of different) damage.inQueue(`the number of jobs of pool ${pool}`);
    if (wrong.length > 0 || different.length > 0) walked = 0;
  }

  /** False: this row does not show which job has lost its place. */
  function restore(row: Row): boolean {
    const found = bySeq.get(row[4]) as unknown as unknown[] | undefined;
    if (!found) return false;
    const job = toState(found, leases);
    const place = placeOf(job);
    if (job.state !== QUEUED || checksum(place) !== row[6]) return false;
    readyQueue.add(place);
    return true;
  }

  const pragma = (name: string) => prepareQuery<[number]>(db, `PRAGMA ${name}`).get()![0];
  if (pragma("page_count") * pragma("page_size") <= mostIndexesBytes) compare();
  return {
    /** Removes a row that damage made. `isHeld`: its job has its turn. */
    drop: (row: Row, isHeld: boolean): void => {
      readyQueue.remove(row);
      damage.inQueue(`the row of job number ${row[4]}`);
      const isCopy = isHeld && areRight(row, 0, placeColumns);
      if (!isCopy && (isHeld || !restore(row))) walked = 0;
    },
    /** Walks the next page, if it is due. */
    walk: (): void => {
      if (walked === undefined) return;
      for (const row of wrong) readyQueue.remove(row);
      wrong = [];
      const rows = page.all(walked) as unknown as unknown[][];
      for (const row of rows) {
        const job = toState(row, leases);
        if (job.state === QUEUED) readyQueue.add(placeOf(job));
      }
      readyQueue.flush();
      walked = rows.length < jobsPerPage ? undefined : (rows.at(-1)![0] as number);
    },
    isDue: () => walked !== undefined,
  };
}
