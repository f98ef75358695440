/** Converts results and attempts to the protocol. */
import { create } from "@bufbuild/protobuf";
import {
  type Attempt,
  AttemptSchema,
  type Failure as WireFailure,
  FailureSchema,
  type Result,
} from "../../gen/millpond/v1/job_pb.ts";
import { type Failure, isFinal, type PastAttempt, type StoredJob, type StoredResult } from "../../job/job.ts";
import { fromPayload } from "./payload.ts";
import { fromDeadReason, fromOutcome, fromState } from "./state.ts";
import { optionalTime, toTimestamp } from "./time.ts";

export function fromFailure({ reason, message, retryable, details, stack = "" }: Failure): WireFailure {
  return create(FailureSchema, { reason, message, retryable, stack, ...(details && { details }) });
}

/** Without a channel the cursor is 0. An object literal, because this runs for every job and `create` is slower. */
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

export function fromPastAttempt({ attempt, outcome, failure, startedAt, finishedAt }: PastAttempt): Attempt {
  return create(AttemptSchema, {
    number: attempt,
    outcome: fromOutcome(outcome),
    failure: fromFailure(failure),
    ...optionalTime("startedAt", startedAt),
    finishedAt: toTimestamp(finishedAt),
  });
}
