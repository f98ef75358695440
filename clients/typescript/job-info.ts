import { durationMs } from "@bufbuild/protobuf/wkt";
import type { Attempt, Job as JobMessage, Progress } from "../../src/gen/millpond/v1/job_pb.ts";
import type { DeadReasonName, JobStateName, OutcomeName } from "./names.ts";
import { deadReasonNames, outcomeNames, stateNames } from "./names.ts";
import type { JobFailure, JobResult } from "./result.ts";
import { toDate, toFailure, toJobResult, toValue } from "./result.ts";

/** How far a running attempt says it is. */
export type JobProgress = {
  /** 0 to 1. */
  readonly fraction: number;
  readonly note: string;
};

/** One attempt that did not succeed. */
export type AttemptInfo = {
  /** From 1; starts again at 1 when the job is redriven. */
  readonly number: number;
  readonly outcome: OutcomeName;
  readonly failure: JobFailure | undefined;
  /** Undefined when it never began, and when it is unknown, as for a lost one. */
  readonly startedAt: Date | undefined;
  readonly finishedAt: Date | undefined;
};

/** A job as the server knows it. */
export type JobInfo = {
  readonly id: string;
  readonly task: string;
  readonly pool: string;
  /** Empty: its result goes to no channel. */
  readonly channel: string;
  readonly state: JobStateName;
  /** Attempts counted so far, and the bound on them. */
  readonly attempts: number;
  readonly maxAttempts: number;
  readonly submittedAt: Date | undefined;
  /** Not started before this time. */
  readonly runAt: Date | undefined;
  readonly startedAt: Date | undefined;
  readonly finishedAt: Date | undefined;
  /** What the running attempt reported last. */
  readonly progress: JobProgress | undefined;
  /** How it ended; undefined while it has not. In a list it has no output. */
  readonly result: JobResult | undefined;
  /** Why the last attempt failed, while the job waits for the next one. */
  readonly lastFailure: JobFailure | undefined;
  readonly priority: number;
  readonly labels: { readonly [name: string]: string };
  /** Empty: none, and in a list. */
  readonly memo: string;
  /** Empty: none. */
  readonly idempotencyKey: string;
  /** Undefined: it has no deadline. */
  readonly expiresAt: Date | undefined;
  /** Bound on one attempt; undefined when the server no longer has the task. */
  readonly timeoutMs: number | undefined;
  /** It was cancelled while it ran and has not stopped yet. */
  readonly isCancelling: boolean;
  /** How often it was redriven. */
  readonly redrives: number;
  /** Why it is DEAD; undefined otherwise. */
  readonly deadReason: DeadReasonName | undefined;
  /** Attempts that did not succeed, oldest first, the newest 100 at most. Empty in a list. */
  readonly history: readonly AttemptInfo[];
  /** Only when it was asked for; then the result has no output. */
  readonly input: unknown;
};

export function toJobInfo(job: JobMessage): JobInfo {
  return {
    id: job.id,
    task: job.task,
    pool: job.pool,
    channel: job.channel,
    state: stateNames.get(job.state) ?? "QUEUED",
    attempts: job.attempts,
    maxAttempts: job.maxAttempts,
    submittedAt: toDate(job.submittedAt),
    runAt: toDate(job.runAt),
    startedAt: toDate(job.startedAt),
    finishedAt: toDate(job.finishedAt),
    progress: toProgress(job.progress),
    result: job.result && toJobResult(job.result),
    lastFailure: toFailure(job.lastFailure),
    priority: job.priority,
    labels: { ...job.labels },
    memo: job.memo,
    idempotencyKey: job.idempotencyKey,
    expiresAt: toDate(job.expiresAt),
    timeoutMs: job.timeout && durationMs(job.timeout),
    isCancelling: job.cancelling,
    redrives: job.redrives,
    deadReason: deadReasonNames.get(job.deadReason),
    history: job.history.map(toAttemptInfo),
    input: toValue(job.input),
  };
}

export function toProgress(progress: Progress | undefined): JobProgress | undefined {
  return progress && { fraction: progress.fraction, note: progress.note };
}

function toAttemptInfo({ number, outcome, failure, startedAt, finishedAt }: Attempt): AttemptInfo {
  return {
    number,
    outcome: outcomeNames.get(outcome) ?? "lost",
    failure: toFailure(failure),
    startedAt: toDate(startedAt),
    finishedAt: toDate(finishedAt),
  };
}
