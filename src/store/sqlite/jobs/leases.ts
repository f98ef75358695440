/**
 * Leases and fences. A lease is the right to run one attempt of a job. Each raises the job's fence by one, and a settlement
 * that names an older fence is refused: so an attempt that comes back after its lease had ended changes nothing.
 *
 * Jobs that are leased by one call share one row of table lease, which is written once, before any of them starts, and
 * deleted when the last of them has been settled; a settlement does not rewrite it. What runs is in memory: when a store is
 * opened, the rows say which jobs were leased, and of these those run that have neither ended since nor gone back into the
 * queue (then their progress has the lease's fence or a later one; where damage took it, a place in the queue decides).
 * When a lease ends and when its attempt began is in memory only: the file belongs to one process, and what a former
 * process left running counts as ended, since no process holds it any more.
 */
import type { DatabaseSync } from "node:sqlite";
import { crc32 } from "node:zlib";
import { prepareQuery } from "../thread/connection.ts";
import type { KnownJob } from "./known-job.ts";
import { areRight, isBound } from "../integrity/checked-rows.ts";
import {
  type Bytes,
  jobColumns,
  type JobNumbers,
  jobNumbers,
  type Nulls,
  progressColumns,
  type ProgressNumbers,
  progressNumbers,
} from "./job-rows.ts";

/** What has to be known of a RUNNING job to settle it, and what is known of its lease. */
export type RunningJob = {
  readonly seq: number;
  readonly fence: number;
  readonly attempt: number;
  readonly crashes: number;
  readonly redrives: number;
  readonly runAt: number;
  /** Start of the newest attempt before this one that counts. */
  readonly lastStartedAt: number | null;
  /** Numbers of the job's row. */
  readonly client: number;
  readonly pool: number;
  readonly channel: number;
  readonly priority: number;
  /** Null: no deadline. */
  readonly expiresAt: number | null;
  /** What is kept of it: its record and its history, in bytes. */
  readonly bytes: number;
  /** Whether its numbers were those that were written when it was leased. */
  readonly isRight: boolean;
  /** When the attempt began; null when a former process began it. */
  readonly startedAt: number | null;
  readonly owner: string;
  isOwnerGone: boolean;
  /** When the lease ends. */
  until: number;
  isCancelling: boolean;
};

export type Leases = ReturnType<typeof createLeases>;

/** Where a job's progress begins in the rows of `load`. */
const progressAt = 10;
type Batch = { readonly id: number; readonly owner: string; unsettled: Set<number> };

/** Of a first lease its `seq` is enough; `runAt` is that of the submit then. */
type LeasedJob = number | [seq: number, fence: number, attempt: number, crashes: number, redrives: number, runAt: number,
  lastStartedAt: number | null, isCancelling: 0 | 1, isRight: 0 | 1]; // biome-ignore format: one tuple

export function createLeases(db: DatabaseSync, { bytesOf, ownersOf }: KnownJob) {
  const insert = db.prepare("INSERT INTO lease (owner, jobs, checksum) VALUES (?, ?, ?)");
  const update = db.prepare("UPDATE lease SET jobs = ?, checksum = ? WHERE id = ?");
  const erase = db.prepare("DELETE FROM lease WHERE id = ?");
  const running = new Map<number, RunningJob>();
  const batches = new Map<number, Batch>();
  const changed = new Set<Batch>();

  function load(): void {
    const job = prepareQuery<[...JobNumbers, ...Nulls<ProgressNumbers>, id: Bytes, head: Bytes]>(
      db,
      `SELECT ${jobNumbers}, ${progressNumbers}, id, record
       FROM job LEFT JOIN progress ON progress.seq = job.seq
       WHERE job.seq = ?1 AND NOT EXISTS (SELECT 1 FROM ended WHERE ended.seq = ?1)`,
    );
    const waits = prepareQuery<[1]>(db, "SELECT 1 FROM waiting WHERE seq = ?");
    const rows = prepareQuery<[id: number, owner: string, jobs: string]>(
      db,
      "SELECT id, owner, jobs FROM lease ORDER BY id",
    );
    for (const [id, owner, jobs] of rows.all()) {
      const batch: Batch = { id, owner, unsettled: new Set() };
      for (const written of JSON.parse(jobs) as LeasedJob[]) {
        const [seq, fence, attempt, crashes, redrives, runAt, lastStartedAt, isCancelling, isRight] =
          typeof written === "number" ? ([written, 1, 1, 0, 0, null, null, 0, 1] as const) : written;
        const row = job.get(seq);
        if (!row) continue;
        const hasProgress = row[progressAt] !== null;
        const knowsFence = !hasProgress || areRight(row, progressAt, progressColumns);
        const latest = hasProgress ? (row[progressAt + 3] as number) : 0;
        if (knowsFence ? latest >= fence : waits.get(seq)) continue; // it went back into the queue
        const [, client, channel, pool, , priority, submittedRunAt, expiresAt] = row;
        const isSame = isRight === 1 && areRight(row, 0, jobColumns) && isBound(row[9], row[19], row[18]);
        if (running.has(seq)) batches.get(seq)!.unsettled.delete(seq); // it was leased again, and its older lease still has jobs
        batches.set(seq, batch);
        batch.unsettled.add(seq);
        // biome-ignore format: what of the lease, what of the job
        running.set(seq, { seq, fence, attempt, crashes, redrives, runAt: runAt ?? submittedRunAt, lastStartedAt,
          client, channel, pool, priority, expiresAt: redrives > 0 ? null : expiresAt,
          bytes: bytesOf(seq), isRight: isSame && knowsFence,
          ...(isSame ? {} : ownersOf(seq)),
          owner, isOwnerGone: true, startedAt: null, until: -Infinity, isCancelling: isCancelling === 1 });
      }
      if (batch.unsettled.size === 0) changed.add(batch);
    }
  }

  function flush(): void {
    for (const batch of changed) {
      if (batch.unsettled.size === 0) erase.run(batch.id);
      else {
        const jobs = textOf([...batch.unsettled].map((seq) => running.get(seq)!));
        update.run(jobs, checksumOf(batch.owner, jobs), batch.id);
      }
    }
    changed.clear();
  }

  load();
  return {
    /** The jobs that run: as many as run at once, so never many. */
    running: running as ReadonlyMap<number, RunningJob>,
    /** Writes down that these jobs are leased. */
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
    /** A job runs no longer. */
    end: (seq: number): void => {
      const batch = batches.get(seq)!;
      running.delete(seq);
      batches.delete(seq);
      batch.unsettled.delete(seq);
      if (batch.unsettled.size === 0) changed.add(batch);
    },
    /** A running job is to stop; durable with the transaction. */
    cancel: (seq: number): void => {
      const job = running.get(seq)!;
      if (job.isCancelling) return;
      job.isCancelling = true;
      changed.add(batches.get(seq)!);
    },
    flush,
  };
}

function textOf(jobs: readonly RunningJob[]): string {
  const written = jobs.map((job): LeasedJob => {
    const { seq, fence, attempt, crashes, redrives, runAt, lastStartedAt, isCancelling, isRight } = job;
    if (fence === 1 && !isCancelling && isRight) return seq;
    return [seq, fence, attempt, crashes, redrives, runAt, lastStartedAt, isCancelling ? 1 : 0, isRight ? 1 : 0];
  });
  return JSON.stringify(written);
}

const checksumOf = (owner: string, jobs: string) => crc32(jobs, crc32(owner));

/** The number of a row of leases that is not what was written; undefined: there is none. */
export function findWrongLease(db: DatabaseSync): number | undefined {
  for (const { id, owner, jobs, checksum } of db.prepare("SELECT id, owner, jobs, checksum FROM lease").iterate()) {
    if (checksumOf(String(owner), String(jobs)) !== checksum) return Number(id);
  }
  return undefined;
}
