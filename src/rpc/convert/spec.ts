/** A job as a client describes it, and the receipt it gets. */
import { create } from "@bufbuild/protobuf";
import type { Admitted } from "../../engine/admit/admission.ts";
import type { Draft } from "../../engine/admit/draft.ts";
import type { MillpondError } from "../../errors.ts";
import {
  type JobSpec,
  type Receipt,
  type Refusal,
  RefusalSchema,
  RetryPolicy_Jitter as Jitter,
} from "../../gen/millpond/v1/job_pb.ts";
import type { RetryPolicy } from "../../job/backoff.ts";
import { toInput } from "./payload.ts";
import { durationFromMs, durationToMs, timestampToMs } from "./time.ts";

const tasksOwn: Draft["retry"] = {};

/**
 * `channel` is what a job that names none gets, `trace` what is stored of its trace. A time or a duration that is none
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

export function fromAdmitted(admitted: Admitted): Receipt {
  return { $typeName: "millpond.v1.Receipt", receipt: receiptOf(admitted) };
}

function receiptOf(admitted: Admitted): Receipt["receipt"] {
  switch (admitted.kind) {
    case "accepted":
      return { case: "jobId", value: admitted.id };
    case "duplicate":
      return { case: "duplicateOf", value: admitted.id };
    case "refused":
      return { case: "refusal", value: fromRefusal(admitted.error) };
  }
}

function fromRefusal({ reason, message, retryAfterMs, violations }: MillpondError): Refusal {
  return create(RefusalSchema, {
    reason,
    message,
    ...(retryAfterMs !== undefined && { retryAfter: durationFromMs(retryAfterMs) }),
    fieldViolations: violations.map(({ field, description }) => ({ field, description })),
  });
}
