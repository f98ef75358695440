/** Converts jobs from requests and to responses: each field of a job is read and written here. */
import { create, toBinary } from "@bufbuild/protobuf";
import type { Draft } from "../../engine/admit/draft.ts";
import {
  AttemptSchema,
  type Job,
  JobSchema,
  type JobSpec,
  RetryPolicy_Jitter as Jitter,
} from "../../gen/millpond/v1/job_pb.ts";
import type { RetryPolicy } from "../../job/backoff.ts";
import type { StoredJob, WholeJob } from "../../job/job.ts";
import type { Progress } from "../../pool/pool.ts";
import { valuesOfFailure, valuesOfFields, valuesOfPayload } from "../values.ts";
import { fromPayload, toInput } from "./payload.ts";
import { fromFailure, fromPastAttempt, fromResult, resultOf } from "./result.ts";
import { fromDeadReason, fromState } from "./state.ts";
import { durationFromMs, durationToMs, optionalTime, timestampToMs, toTimestamp } from "./time.ts";

const tasksOwn: Draft["retry"] = {};

/**
 * `channel` is the default for a job that names none, `trace` the trace context to store. An invalid time or duration
 * becomes NaN, which is out of bounds.
 */
export function toDraft(spec: JobSpec, channel: string, trace: string | null): Draft {
  return {
    id: spec.id,
    task: spec.task,
    channel: spec.channel || channel,
    input: toInput(spec.input),
    idempotencyKey: spec.idempotencyKey,
    priority: spec.priority,
    start: toStart(spec.start),
    expiresAt: spec.expiresAt ? timestampToMs(spec.expiresAt) : null,
    timeoutMs: spec.timeout ? durationToMs(spec.timeout) : null,
    retry: spec.retry ? toRetry(spec.retry) : tasksOwn,
    labels: spec.labels,
    memo: spec.memo,
    discardResult: spec.discardResult,
    trace,
  };
}

function toStart(start: JobSpec["start"]): Draft["start"] {
  switch (start.case) {
    case "runAt":
      return { at: timestampToMs(start.value) };
    case "delay":
      return { delayMs: durationToMs(start.value) };
    default:
      return null;
  }
}

function toRetry({ maxAttempts, base, factor, maxBackoff, jitter }: NonNullable<JobSpec["retry"]>): Draft["retry"] {
  return {
    ...(maxAttempts !== undefined && { maxAttempts }),
    ...(base && { baseMs: durationToMs(base) }),
    ...(factor !== undefined && { factor }),
    ...(maxBackoff && { maxBackoffMs: durationToMs(maxBackoff) }),
    ...(jitter !== Jitter.UNSPECIFIED && { jitter: jitters.get(jitter) ?? jitter }),
  };
}

const jitters: ReadonlyMap<Jitter, RetryPolicy["jitter"]> = new Map([
  [Jitter.FULL, "full"],
  [Jitter.NONE, "none"],
]);

/** Facts about a job that are not in the store. */
export type JobFacts = {
  /** The latest progress of the running attempt. */
  readonly progress?: Progress | undefined;
  /** The task's bound on one attempt; undefined when this server has no such task. */
  readonly timeoutMs?: number | undefined;
};

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

/**
 * Values that the history of a job may have even if its input or output uses up the limit: enough for attempts without
 * details.
 */
const fewestHistoryValues = 2_000;
/** Room left in a message for the fields around the job. */
const slackBytes = 64;

/**
 * A job with its history, and with its input instead of its output if requested. The oldest entries of a history that
 * does not fit into the bounds are omitted.
 */
export function fromWholeJob(
  job: WholeJob,
  facts: JobFacts,
  { withInput, messageBytes, values }: WholeJobBounds & { readonly withInput: boolean },
): Job {
  const shown = fromJob(withInput ? { ...job, output: null } : job, facts);
  if (withInput && job.input) shown.input = fromPayload(job.input);
  shown.memo = job.memo;
  if (job.history.length === 0) return shown;
  let room = messageBytes - slackBytes - toBinary(JobSchema, shown).length;
  let valuesLeft = Math.max(values - valuesOfPayload(withInput ? job.input : job.output), fewestHistoryValues);
  for (const past of job.history.toReversed()) {
    const attempt = fromPastAttempt(past);
    room -= toBinary(AttemptSchema, attempt).length + 8; // plus its tag and length prefix
    valuesLeft -= valuesOfFields(undefined) + valuesOfFailure(past.failure);
    if (room < 0 || valuesLeft < 0) break;
    shown.history.unshift(attempt);
  }
  return shown;
}
