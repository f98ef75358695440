/** Wire messages to the engine's types and back. */
import { create, fromJson, toJson } from "@bufbuild/protobuf";
import { type Duration, type Timestamp, timestampFromMs, type Value, ValueSchema } from "@bufbuild/protobuf/wkt";
import type { Admitted } from "../engine/admission.ts";
import { defaultChannel, type Draft, faultOfChannel } from "../engine/draft.ts";
import type { GivenInput } from "../engine/input.ts";
import { invalid, messageOf, type MillpondError } from "../errors.ts";
import {
  type Failure as WireFailure,
  FailureSchema,
  type Job,
  JobSchema,
  type JobSpec,
  JobState as WireState,
  type Payload as WirePayload,
  PayloadSchema,
  type Receipt,
  ReceiptSchema,
  type Refusal,
  RefusalSchema,
  type Result,
  ResultSchema,
} from "../gen/millpond/v1/job_pb.ts";
import type { Failure, JobState, JsonValue, Payload, StoredJob, StoredResult } from "../job/job.ts";
import { isFinal } from "../job/job.ts";
import type { Progress } from "../pool/pool.ts";

const decoder = new TextDecoder();
const typePrefix = "type.googleapis.com/";

/** `channel` is what a job that names none gets. */
export function toDraft(spec: JobSpec, channel: string): Draft {
  return { id: spec.id, task: spec.task, channel: spec.channel || channel, input: toInput(spec.input) };
}

function toInput(payload: WirePayload | undefined): GivenInput {
  const content = payload?.content;
  switch (content?.case) {
    case "message": {
      const { typeUrl, value } = content.value;
      return { kind: "message", type: typeUrl.slice(typeUrl.lastIndexOf("/") + 1), bytes: value };
    }
    case "json":
      return toJsonInput(content.value);
    case "data":
      return { kind: "data", bytes: content.value };
    default:
      return null;
  }
}

/** A Value may hold what JSON cannot, a NaN or nothing at all: the fault of one job, not of its neighbours. */
function toJsonInput(value: Value): GivenInput {
  try {
    return { kind: "json", value: toJson(ValueSchema, value) };
  } catch (error) {
    return { kind: "unreadable", why: messageOf(error) };
  }
}

function fromPayload(payload: Payload): WirePayload {
  const { kind, type, bytes } = payload;
  switch (kind) {
    case "message":
      return create(PayloadSchema, {
        content: { case: "message", value: { typeUrl: typePrefix + type, value: bytes } },
      });
    case "json": {
      const value = fromJson(ValueSchema, JSON.parse(decoder.decode(bytes)) as JsonValue);
      return create(PayloadSchema, { content: { case: "json", value } });
    }
    case "data":
      return create(PayloadSchema, { content: { case: "data", value: bytes } });
  }
}

export function fromAdmitted(admitted: Admitted): Receipt {
  switch (admitted.kind) {
    case "accepted":
      return create(ReceiptSchema, { receipt: { case: "jobId", value: admitted.id } });
    case "duplicate":
      return create(ReceiptSchema, { receipt: { case: "duplicateOf", value: admitted.id } });
    case "refused":
      return create(ReceiptSchema, { receipt: { case: "refusal", value: fromRefusal(admitted.error) } });
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

function fromFailure({ reason, message, retryable, details }: Failure): WireFailure {
  return create(FailureSchema, { reason, message, retryable, ...(details && { details: details }) });
}

const wireStates: Readonly<Record<JobState, WireState>> = {
  QUEUED: WireState.QUEUED,
  RUNNING: WireState.RUNNING,
  SUCCEEDED: WireState.SUCCEEDED,
  DEAD: WireState.DEAD,
  CANCELLED: WireState.CANCELLED,
};

/** Null when unspecified; refused when there is no such state. */
export function toState(state: WireState): JobState | null {
  if (state === WireState.UNSPECIFIED) return null;
  const names = Object.keys(wireStates) as JobState[];
  const found = names.find((name) => wireStates[name] === state);
  if (!found)
    throw invalid([{ field: "state", description: `${state} is not a state: there are 1 to ${names.length}` }]);
  return found;
}

/** The channel that a request names, or `default`; refused when no channel can have that name. */
export function toChannel(name: string, field = "channel"): string {
  const fault = faultOfChannel(name);
  if (fault) throw invalid([{ field, description: fault }]);
  return name || defaultChannel;
}

export function fromResult(result: StoredResult): Result {
  return create(ResultSchema, {
    cursor: BigInt(result.cursor),
    jobId: result.id,
    task: result.task,
    state: wireStates[result.state],
    ...(result.output && { output: fromPayload(result.output) }),
    ...(result.state !== "SUCCEEDED" && result.failure && { failure: fromFailure(result.failure) }),
    attempts: result.attempts,
    submittedAt: timestampFromMs(result.submittedAt),
    ...(result.startedAt !== null && { startedAt: timestampFromMs(result.startedAt) }),
    finishedAt: timestampFromMs(result.finishedAt),
  });
}

/** `progress` is what the running attempt last said. */
export function fromJob(job: StoredJob, progress: Progress | undefined): Job {
  const { id, task, pool, channel, state, attempts, maxAttempts, finishedAt, cursor } = job;
  const result =
    isFinal(state) && finishedAt !== null ? fromResult({ ...job, state, finishedAt, cursor: cursor ?? 0 }) : undefined;
  return create(JobSchema, {
    id,
    task,
    pool,
    channel,
    state: wireStates[state],
    attempts,
    maxAttempts,
    submittedAt: timestampFromMs(job.submittedAt),
    runAt: timestampFromMs(job.runAt),
    ...optionalTime("startedAt", job.startedAt),
    ...optionalTime("finishedAt", finishedAt),
    ...(state === "RUNNING" && progress && { progress }),
    ...(result && { result }),
    ...(state === "QUEUED" && job.failure && { lastFailure: fromFailure(job.failure) }),
  });
}

function optionalTime<K extends string>(key: K, at: number | null): { [key in K]?: Timestamp } {
  return (at === null ? {} : { [key]: timestampFromMs(at) }) as { [key in K]?: Timestamp };
}

/** Negative durations become zero. */
export function durationFromMs(ms: number): Pick<Duration, "seconds" | "nanos"> {
  const positive = Math.max(ms, 0);
  const seconds = Math.floor(positive / 1000);
  return { seconds: BigInt(seconds), nanos: Math.floor((positive - seconds * 1000) * 1e6) };
}
