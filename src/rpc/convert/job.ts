/** Jobs and results as the store knows them, for the wire. */
import { create, toBinary } from "@bufbuild/protobuf";
import {
  type Attempt,
  AttemptSchema,
  type Failure as WireFailure,
  FailureSchema,
  type Job,
  JobSchema,
  type Result,
} from "../../gen/millpond/v1/job_pb.ts";
import type { Failure, PastAttempt, StoredJob, StoredResult, WholeJob } from "../../job/job.ts";
import { isFinal } from "../../job/job.ts";
import type { Progress } from "../../pool/pool.ts";
import { valuesOfFailure, valuesOfFields, valuesOfPayload } from "../values.ts";
import { fromPayload } from "./payload.ts";
import { fromDeadReason, fromOutcome, fromState } from "./state.ts";
import { durationFromMs, optionalTime, toTimestamp } from "./time.ts";

/** What a job shows that the store does not know. */
export type JobFacts = {
  /** The latest progress of the running attempt. */
  readonly progress?: Progress | undefined;
  /** The task's bound on one attempt; undefined when this server has no such task. */
  readonly timeoutMs?: number | undefined;
};

export function fromFailure({ reason, message, retryable, details, stack = "" }: Failure): WireFailure {
  return create(FailureSchema, { reason, message, retryable, stack, ...(details && { details }) });
}

/** Without a channel its cursor is 0. Written out, for this is done for every job, and `create` would walk over the fields. */
export function fromResult(result: StoredResult): Result {
  const { state, output, failure, startedAt } = result;
  return {
    $typeName: "millpond.v1.Result",
    cursor: BigInt(result.cursor),
    jobId: result.id,
    task: result.task,
    state: fromState(state),
    output: output === null ? undefined : fromPayload(output),
    failure: state === "SUCCEEDED" || failure === null ? undefined : fromFailure(failure),
    attempts: result.attempts,
    submittedAt: toTimestamp(result.submittedAt),
    startedAt: startedAt === null ? undefined : toTimestamp(startedAt),
    finishedAt: toTimestamp(result.finishedAt),
    deadReason: fromDeadReason(result.deadReason),
    labels: result.labels,
    redrives: result.redrives,
  };
}

/** The result of a final job; null while it is not. */
export function resultOf(job: StoredJob): StoredResult | null {
  const { state, finishedAt, cursor } = job;
  if (!isFinal(state) || finishedAt === null) return null;
  return { ...job, state, finishedAt, cursor: cursor ?? 0 };
}

export function fromJob(job: StoredJob, { progress, timeoutMs }: JobFacts): Job {
  const { id, task, pool, channel, state, attempts, maxAttempts, labels } = job;
  const result = resultOf(job);
  const boundMs = job.timeoutMs ?? timeoutMs;
  return create(JobSchema, {
    id,
    task,
    pool,
    channel: channel ?? "",
    state: fromState(state),
    attempts,
    maxAttempts,
    submittedAt: toTimestamp(job.submittedAt),
    runAt: toTimestamp(job.runAt),
    ...optionalTime("startedAt", job.startedAt),
    ...optionalTime("finishedAt", job.finishedAt),
    ...(state === "RUNNING" && progress && { progress }),
    ...(result && { result: fromResult(result) }),
    ...(state === "QUEUED" && job.failure && { lastFailure: fromFailure(job.failure) }),
    priority: job.priority,
    labels,
    idempotencyKey: job.idempotencyKey ?? "",
    ...optionalTime("expiresAt", job.expiresAt),
    ...(boundMs !== undefined && { timeout: durationFromMs(boundMs) }),
    cancelling: job.isCancelling && state === "RUNNING",
    redrives: job.redrives,
    deadReason: fromDeadReason(job.deadReason),
  });
}

export type WholeJobBounds = {
  /** Bounds on the message, the history included. */
  readonly messageBytes: number;
  readonly values: number;
};

/** Values that the history of a job may have, however many its input or output has: enough for attempts without details. */
const fewestHistoryValues = 2_000;
/** Room that is left in a message for what surrounds the job. */
const slackBytes = 64;

/**
 * A job with its history, and with its input in place of its output when that is asked for. Of a history that would not
 * fit into the bounds beside the rest the oldest lines are left out.
 */
export function fromWholeJob(
  job: WholeJob,
  facts: JobFacts,
  { withInput, messageBytes, values }: WholeJobBounds & { readonly withInput: boolean },
): Job {
  const shown = fromJob(withInput ? { ...job, output: null } : job, facts);
  if (withInput && job.input) shown.input = fromPayload(job.input);
  if (job.history.length === 0) return shown;
  let room = messageBytes - slackBytes - toBinary(JobSchema, shown).length;
  let valuesLeft = Math.max(values - valuesOfPayload(withInput ? job.input : job.output), fewestHistoryValues);
  for (const past of job.history.toReversed()) {
    const attempt = fromPastAttempt(past);
    room -= toBinary(AttemptSchema, attempt).length + 8; // with the tag and the length that stand before it
    valuesLeft -= valuesOfFields(undefined) + valuesOfFailure(past.failure);
    if (room < 0 || valuesLeft < 0) break;
    shown.history.unshift(attempt);
  }
  return shown;
}

function fromPastAttempt({ attempt, outcome, failure, startedAt, finishedAt }: PastAttempt): Attempt {
  return create(AttemptSchema, {
    number: attempt,
    outcome: fromOutcome(outcome),
    failure: fromFailure(failure),
    ...optionalTime("startedAt", startedAt),
    finishedAt: toTimestamp(finishedAt),
  });
}
