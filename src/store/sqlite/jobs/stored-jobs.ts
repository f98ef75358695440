import { isSuspect } from "../../../job/job.ts";
import { areRight, isBound } from "../integrity/checked-rows.ts";
import { QUEUED, RUNNING } from "../thread/protocol.ts";
import {
  type EndedNumbers,
  endedColumns,
  endedNumbers,
  jobColumns,
  type JobNumbers,
  jobNumbers,
  progressColumns,
  type ProgressNumbers,
  progressNumbers,
} from "./job-rows.ts";
import type { Leases, RunningJob } from "./leases.ts";
import type { Place } from "./ready-queue.ts";

/** SQL: a job with what attempts so far left and how it ended. */
export const storedColumns = `${jobNumbers}, ${progressNumbers}, ${endedNumbers}`;
/** SQL: where these come from, behind table job. */
export const withProgress = "LEFT JOIN progress ON progress.seq = job.seq";
export const withProgressAndEnd = `${withProgress} LEFT JOIN ended ON ended.seq = job.seq`;
/** Where the parts of such a row begin. */
const progressAt = jobColumns.length + 1;
const endedAt = progressAt + progressColumns.length + 1;
/** Where columns behind them begin. */
export const behindStored = endedAt + endedColumns.length + 1;

/** A job wherever it stands. */
export type StoredState = Pick<
  RunningJob,
  | ("seq" | "client" | "channel" | "pool" | "priority" | "fence" | "crashes" | "redrives")
  | ("runAt" | "expiresAt" | "startedAt" | "isCancelling" | "isRight")
> & {
  readonly task: number;
  readonly submittedAt: number;
  /** Its number in `states`. */
  readonly state: number;
  readonly attempts: number;
  readonly finishedAt: number | null;
  /** Position of its result; null until it is final. */
  readonly cursor: number | null;
};

/** The job in a row of `storedColumns`; of one that runs, what is known of its lease. */
export function toState(row: readonly unknown[], { running }: Leases): StoredState {
  const [seq, client, channel, pool, task, priority, submittedRunAt, submittedExpiry, submittedAt] =
    row as unknown as JobNumbers;
  const ofJob = { seq, client, channel, pool, task, priority, submittedAt };
  const waits = { isCancelling: false, finishedAt: null, cursor: null };
  const lease = row[endedAt] === null ? running.get(seq) : undefined;
  if (lease) return { ...waits, submittedAt, task, ...lease, state: RUNNING, attempts: lease.attempt };
  const isRight = areRight(row, 0, jobColumns);
  if (row[endedAt] !== null) {
    const ended = row.slice(endedAt) as unknown as EndedNumbers;
    const [, , , , cursor, state, attempts, fence, crashes, redrives, runAt, startedAt, finishedAt] = ended;
    const numbers = { state, attempts, fence, crashes, redrives, runAt, startedAt, finishedAt, cursor };
    const expiresAt = redrives > 0 ? null : submittedExpiry;
    return { ...ofJob, ...waits, ...numbers, expiresAt, isRight: isRight && areRight(ended, 0, endedColumns) };
  }
  const never = [seq, submittedRunAt, 0, 0, 0, 0, null, 0];
  const progress = (row[progressAt] === null ? never : row.slice(progressAt, endedAt)) as unknown as ProgressNumbers;
  const [, runAt, attempts, fence, crashes, redrives, startedAt] = progress;
  return {
    ...{ ...ofJob, ...waits, state: QUEUED, attempts, fence, crashes, redrives, runAt, startedAt },
    expiresAt: redrives > 0 ? null : submittedExpiry,
    isRight: isRight && (progress === (never as unknown) || areRight(progress, 0, progressColumns)),
  };
}

/** Whether the id and the record that were read with such a row belong to it. */
export function isOwnRecord(row: readonly unknown[], id: Uint8Array, record: Uint8Array): boolean {
  return isBound(row[progressAt - 1], record, id);
}

export function isOwnEnding(row: readonly unknown[], ending: Uint8Array): boolean {
  return isBound(row[behindStored - 1], ending);
}

/** Its place in the queue while it is QUEUED. */
export function placeOf({ pool, crashes, priority, runAt, seq, expiresAt }: StoredState): Place {
  return [pool, isSuspect({ crashes }) ? 1 : 0, priority, runAt, seq, expiresAt];
}
