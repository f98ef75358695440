/**
 * Leases and fences. A lease is the right to run one attempt of a job. Each lease raises the job's fence by one, and a
 * settlement with an older fence is refused: so an attempt that is settled after its lease has ended changes nothing.
 *
 * Jobs leased by one call share one row of table lease. It is written once, before any of them starts, and deleted when
 * the last of them is settled; a settlement does not rewrite it. Running jobs are kept in memory. When a store is
 * opened, the rows have the jobs that were leased; those run that have neither ended nor returned to the queue since
 * (then their progress has the lease's fence or a later one; if that row is damaged, a place in the queue decides). The
 * ends of leases and the starts of attempts are only in memory: the file belongs to one process, so the leases of
 * previous processes have ended.
 */
import { crc32 } from "node:zlib";
import { areRight } from "../integrity/checked-rows.ts";
import type { Sql } from "../thread/connection.ts";
import { RUNNING } from "../thread/protocol.ts";
import {
  endedAt,
  endedColumns,
  type EndedNumbers,
  type Owners,
  progressAt,
  progressColumns,
  type StoredState,
  waitingColumns,
  withProgress,
} from "./job-rows.ts";
import type { StoredJobs } from "./stored-jobs.ts";

/** A RUNNING job, with what its settlement needs, and its lease. */
export type RunningJob = Owners &
  Pick<StoredState, "seq" | "fence" | "crashes" | "redrives" | "runAt" | "priority" | "expiresAt"> & {
    readonly attempt: number;
    /** Start of the newest earlier attempt that counts. */
    readonly lastStartedAt: number | null;
    /** Size of its record and its history. */
    readonly bytes: number;
    /** Whether its numbers matched their checksum when it was leased. */
    readonly isRight: boolean;
    /** When the attempt started; null: a previous process started it. */
    readonly startedAt: number | null;
    readonly owner: string;
    isOwnerGone: boolean;
    /** When the lease ends. */
    until: number;
    isCancelling: boolean;
  };

type Batch = { readonly id: number; readonly owner: string; unsettled: Set<number> };

/**
 * The form in a row: for a first lease, `seq` is enough. Everything else about the attempt is in the job's progress.
 */
type LeasedJob = number | [seq: number, fence: number, isCancelling: 0 | 1];

export function createLeases(sql: Sql, { bytesOf, waiting }: StoredJobs) {
  const insert = sql`INSERT INTO lease (owner, jobs, checksum) VALUES (?, ?, ?)`;
  const update = sql`UPDATE lease SET jobs = ?, checksum = ? WHERE id = ?`;
  const erase = sql`DELETE FROM lease WHERE id = ?`;
  const running = new Map<number, RunningJob>();
  const batches = new Map<number, Batch>();
  const changed = new Set<Batch>();

  function load(): void {
    const find = sql`
      SELECT ${waitingColumns} FROM job ${withProgress}
      WHERE job.seq = ?1 AND NOT EXISTS (SELECT 1 FROM ended WHERE ended.seq = ?1)`;
    const waits = sql<[1]>`SELECT 1 FROM waiting WHERE seq = ?`;
    const rows = sql<[id: number, owner: string, jobs: string]>`SELECT id, owner, jobs FROM lease ORDER BY id`;
    for (const [id, owner, jobs] of rows.all()) {
      const batch: Batch = { id, owner, unsettled: new Set() };
      for (const written of JSON.parse(jobs) as LeasedJob[]) {
        const [seq, fence, isCancelling] = typeof written === "number" ? ([written, 1, 0] as const) : written;
        const row = find.get(seq);
        if (!row) continue;
        const job = waiting(row);
        const isKnown = row[progressAt] === null || areRight(row.slice(progressAt), 0, progressColumns);
        if (isKnown ? job.fence >= fence : waits.get(seq)) continue; // it has returned to the queue
        batches.get(seq)?.unsettled.delete(seq); // it was leased again, and its older row still has other jobs
        batches.set(seq, batch);
        batch.unsettled.add(seq);
        const isRight = job.isRight && job.fence === fence - 1;
        running.set(seq, {
          ...toRunning({ ...job, isRight }, fence, bytesOf(seq)),
          ...{ owner, isOwnerGone: true, startedAt: null, until: -Infinity, isCancelling: isCancelling === 1 },
        });
      }
      if (batch.unsettled.size === 0) changed.add(batch);
    }
  }

  load();
  return {
    /** The running jobs; never many, because few run at once. */
    running: running as ReadonlyMap<number, RunningJob>,
    /** The job of a row of `storedColumns` or `standingColumns`, with its lease if it runs. */
    stateOf(row: readonly unknown[]): StoredState {
      if (row[endedAt] === null) {
        const job = waiting(row);
        const lease = running.get(job.seq);
        return lease ? { ...job, ...lease, state: RUNNING, attempts: lease.attempt } : job;
      }
      const job = waiting(row.with(progressAt, null)); // a final job whose fence was damaged may still have progress
      const ended = row.slice(endedAt) as unknown as EndedNumbers;
      const [, , , , cursor, state, attempts, fence, crashes, redrives, runAt, startedAt, finishedAt] = ended;
      return {
        ...{ ...job, cursor, state, attempts, fence, crashes, redrives, runAt, startedAt, finishedAt },
        expiresAt: redrives > 0 ? null : job.expiresAt,
        isRight: job.isRight && areRight(ended, 0, endedColumns),
      };
    },
    /** Writes a row for these leased jobs. */
    take: (owner: string, jobs: readonly RunningJob[]): void => {
      if (jobs.length === 0) return;
      const text = textOf(jobs);
      const id = Number(insert.run(owner, text, checksumOf(owner, text)).lastInsertRowid);
      const batch: Batch = { id, owner, unsettled: new Set() };
      for (const job of jobs) {
        running.set(job.seq, job);
        batches.set(job.seq, batch);
        batch.unsettled.add(job.seq);
      }
    },
    /** A job does not run any more. */
    end: (seq: number): void => {
      const batch = batches.get(seq)!;
      running.delete(seq);
      batches.delete(seq);
      batch.unsettled.delete(seq);
      if (batch.unsettled.size === 0) changed.add(batch);
    },
    /** Marks a running job as cancelled; durable with the transaction. */
    cancel: (seq: number): void => {
      const job = running.get(seq)!;
      if (job.isCancelling) return;
      job.isCancelling = true;
      changed.add(batches.get(seq)!);
    },
    flush: (): void => {
      for (const { id, owner, unsettled } of changed) {
        if (unsettled.size === 0) erase.run(id);
        else {
          const jobs = textOf([...unsettled].map((seq) => running.get(seq)!));
          update.run(jobs, checksumOf(owner, jobs), id);
        }
      }
      changed.clear();
    },
  };
}

/** The fields of a job that its next attempt takes over. */
export function toRunning(job: StoredState, fence: number, bytes: number) {
  const { seq, client, channel, pool, priority, crashes, redrives, runAt, expiresAt, isRight } = job;
  return {
    ...{ seq, fence, client, channel, pool, priority, crashes, redrives, runAt, expiresAt, isRight, bytes },
    ...{ attempt: job.attempts + 1, lastStartedAt: job.startedAt },
  };
}

function textOf(jobs: readonly RunningJob[]): string {
  const written = jobs.map(({ seq, fence, isCancelling }): LeasedJob => {
    return fence === 1 && !isCancelling ? seq : [seq, fence, isCancelling ? 1 : 0];
  });
  return JSON.stringify(written);
}

const checksumOf = (owner: string, jobs: string) => crc32(jobs, crc32(owner));

/** The id of a damaged row; undefined: there is none. */
export function findWrongLease(sql: Sql): number | undefined {
  const all = sql<[id: number, owner: string, jobs: string, checksum: number]>`
    SELECT id, owner, jobs, checksum FROM lease`;
  for (const [id, owner, jobs, checksum] of all.iterate()) if (checksumOf(owner, jobs) !== checksum) return id;
  return undefined;
}
