import {
  type Failure,
  isFinal,
  type JobOptions,
  type JobState,
  type Lease,
  type NewJob,
  type PastAttempt,
  type Payload,
  type StoredJob,
  type StoredResult,
  type WholeJob,
} from "../../job/job.ts";
import { differingChannel, differingOptions } from "../../job/options.ts";
import type { ContentField } from "../store.ts";

/** A job as this store holds it. */
export type Held = Omit<NewJob, "runAt" | "expiresAt"> & {
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
  startedAt: number | null;
  finishedAt: number | null;
  output: Payload | null;
  failure: Failure | null;
  deadReason: StoredJob["deadReason"];
  /** Position in `inChannel`, also for discarded results. */
  cursor: number | null;
  history: readonly PastAttempt[];
};

/** A result in its place. `job`: whose it is; null once that job was removed or redriven. */
export type Entry = { readonly result: StoredResult; job: Held | null };

export type Channel = {
  /** Null: the place of discarded results. They count as acknowledged at once. */
  readonly name: string | null;
  last: number;
  acked: number;
  /** In the order of their cursors. */
  entries: Entry[];
};

/** What two submits must have in common to be the same. */
export type Content = {
  readonly task: string;
  readonly channel: string | null;
  readonly input: Payload | null;
  readonly priority: number;
  readonly maxAttempts: number;
  readonly options: JobOptions | null;
};

export function differences(known: Content, job: Content): ContentField[] {
  const differs: ContentField[] = [];
  if (known.task !== job.task) differs.push("task");
  if (known.channel !== job.channel) differs.push(differingChannel(known.channel, job.channel));
  if (!samePayload(known.input, job.input)) differs.push("input");
  if (known.priority !== job.priority) differs.push("priority");
  if (known.maxAttempts !== job.maxAttempts) differs.push("max_attempts");
  differs.push(...differingOptions(known.options, job.options));
  return differs;
}

function samePayload(a: Payload | null, b: Payload | null): boolean {
  if (a === null || b === null) return a === b;
  return a.kind === b.kind && a.type === b.type && Buffer.compare(a.bytes, b.bytes) === 0;
}

/** Bytes are not shared with the store: a caller may hand its own to another thread, which empties them here. */
export function copyOf(payload: Payload | null): Payload | null {
  return payload && { ...payload, bytes: new Uint8Array(payload.bytes) };
}

/** The order in which a pool's jobs are leased. */
export function inTurn(a: Held, b: Held): number {
  return b.priority - a.priority || a.runAt - b.runAt || a.seq - b.seq;
}

/** What a job keeps of its room: bytes of its input, its output and its failures. */
export function bytesOf({ input, output, failure, history }: Held): number {
  const past = history.reduce((sum, attempt) => sum + failureBytes(attempt.failure), 0);
  return (input?.bytes.length ?? 0) + (output?.bytes.length ?? 0) + failureBytes(failure) + past;
}

export function failureBytes(failure: Failure | null): number {
  return failure === null ? 0 : Buffer.byteLength(JSON.stringify(failure));
}

/** Position of its result, for those who may know it. */
export function cursorOf(job: Held): number | null {
  return job.channel === null ? null : job.cursor;
}

export function toLease(job: Held): Lease {
  const { id, client, task, pool, channel, input, maxAttempts, priority, runAt, expiresAt, submittedAt } = job;
  const { trace, idempotencyKey, options, seq, attempt, fence, crashes, redrives, isCancelling } = job;
  return {
    ...{ id, client, task, pool, channel, input: copyOf(input), maxAttempts, priority, runAt, expiresAt, submittedAt },
    ...{ trace, idempotencyKey, options, seq, attempt, fence, crashes, redrives, isCancelling },
  };
}

/** Without its output. */
export function toStored(job: Held): StoredJob {
  const { seq, id, client, task, pool, channel, state, isCancelling, attempt, maxAttempts, priority } = job;
  const { submittedAt, runAt, expiresAt, startedAt, finishedAt, idempotencyKey, options, redrives } = job;
  const { crashes, failure, deadReason } = job;
  return {
    ...{ seq, id, client, task, pool, channel, state, isCancelling, attempts: attempt, maxAttempts, crashes, priority },
    ...{ submittedAt, runAt, expiresAt, startedAt, finishedAt, idempotencyKey, options, redrives },
    ...{ output: null, failure, deadReason, cursor: cursorOf(job) },
  };
}

export function toWhole(job: Held): WholeJob {
  return { ...toStored(job), input: copyOf(job.input), output: copyOf(job.output), history: job.history };
}

export function toResult(job: Held): StoredResult {
  const { id, task, state, output, failure, deadReason, attempt, redrives } = job;
  const { submittedAt, startedAt, finishedAt, cursor } = job;
  if (!isFinal(state)) throw new Error(`job ${id} is ${state} and cannot have a result`);
  return {
    ...{ cursor: cursor!, id, task, state, output, failure, deadReason, attempts: attempt, redrives },
    ...{ labels: job.options?.labels ?? {}, submittedAt, startedAt, finishedAt: finishedAt! },
  };
}
