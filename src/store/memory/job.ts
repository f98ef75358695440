import type { JobState, Lease, StoredJob, StoredResult, WholeJob } from "../../job/job.ts";
import { decodeResult } from "../../job/ending.ts";
import { decodeJob, decodeLease } from "../../job/record.ts";
import { decodeStored, decodeWhole } from "../../job/stored-job.ts";
import type { JobColumns, JobFilter } from "../store.ts";

/** A job in this store: its record and endings as bytes, and what changes as columns. */
export type Held = JobColumns & {
  readonly record: Uint8Array;
  readonly seq: number;
  readonly inChannel: Channel;
  state: JobState;
  isCancelling: boolean;
  attempt: number;
  fence: number;
  crashes: number;
  redrives: number;
  runAt: number;
  expiresAt: number | null;
  owner: string;
  isOwnerGone: boolean;
  leaseUntil: number;
  /** Start of the newest attempt that counts. */
  startedAt: number | null;
  leasedAt: number;
  finishedAt: number | null;
  /** Its result; null: it is not final. */
  ending: Uint8Array | null;
  /** Position of its result in `inChannel`, also of a discarded one. */
  cursor: number | null;
  /** Endings of its attempts that did not succeed, oldest first. */
  history: readonly Uint8Array[];
};

/** A result in its channel. `job`: its job; null: that was removed or redriven. */
export type Entry = {
  readonly cursor: number;
  readonly finishedAt: number;
  readonly ending: Uint8Array;
  job: Held | null;
};

export type Channel = {
  /** Null: the channel of discarded results, which count as acknowledged at once. */
  readonly name: string | null;
  last: number;
  acked: number;
  /** In the order of `cursor`. */
  entries: Entry[];
};

/** The order in which a pool's jobs are leased. */
export function inTurn(a: Held, b: Held): number {
  return b.priority - a.priority || a.runAt - b.runAt || a.seq - b.seq;
}

/** Bytes of a job that count for retention. */
export function bytesOf({ record, ending, history }: Held): number {
  const past = history.reduce((sum, each) => sum + each.length, 0);
  return record.length + (ending?.length ?? 0) + past;
}

/** Position of its result, as shown to clients. */
export function cursorOf(job: Held): number | null {
  return job.channel === null ? null : job.cursor;
}

/** The record is a copy, and a Buffer like those of a driver in another thread. */
export function toLease(job: Held): Lease {
  return decodeLease(Buffer.from(job.record), job);
}

/** The job without its output. */
export function toStored(job: Held): StoredJob {
  return decodeStored(job.record, standingOf(job), job.ending ?? job.history.at(-1) ?? null);
}

export function toWhole(job: Held): WholeJob {
  return decodeWhole(job.record.slice(), standingOf(job), job.ending, job.history);
}

export function toResult({ ending, cursor }: Entry): StoredResult {
  return decodeResult(ending.slice(), cursor);
}

function standingOf(job: Held) {
  const { seq, state, isCancelling, attempt: attempts, crashes, runAt, expiresAt, finishedAt, redrives } = job;
  const startedAt = state === "RUNNING" ? job.leasedAt : job.startedAt;
  const where = { startedAt, finishedAt, cursor: cursorOf(job) };
  return { seq, state, isCancelling, attempts, crashes, runAt, expiresAt, redrives, ...where };
}

export function matches(job: Held, filter: JobFilter): boolean {
  const { task, pool, channel, labels, submittedFrom, submittedBefore, deadReason, failureReason } = filter;
  const given = decodeJob(job.record).labels;
  const stored = toStored(job);
  return (
    job.task === (task ?? job.task) &&
    job.pool === (pool ?? job.pool) &&
    job.channel === (channel ?? job.channel) &&
    Object.entries(labels).every(([name, value]) => given[name] === value) &&
    job.submittedAt >= (submittedFrom ?? -Infinity) &&
    job.submittedAt < (submittedBefore ?? Infinity) &&
    (deadReason === null || stored.deadReason === deadReason) &&
    (failureReason === null || stored.failure?.reason === failureReason)
  );
}
