import type { DescMessage } from "@bufbuild/protobuf";
import { createRegistry, fromBinary, toJson } from "@bufbuild/protobuf";
import type { Any, Timestamp } from "@bufbuild/protobuf/wkt";
import { durationMs, timestampDate, timestampMs, ValueSchema } from "@bufbuild/protobuf/wkt";
import { file_millpond_tasks_v1_db } from "../../src/gen/millpond/tasks/v1/db_pb.ts";
import { file_millpond_tasks_v1_diagnostic } from "../../src/gen/millpond/tasks/v1/diagnostic_pb.ts";
import { file_millpond_tasks_v1_email } from "../../src/gen/millpond/tasks/v1/email_pb.ts";
import { file_millpond_tasks_v1_image } from "../../src/gen/millpond/tasks/v1/image_pb.ts";
import type { Failure, Payload, Refusal, Result } from "../../src/gen/millpond/v1/job_pb.ts";
import { JobState } from "../../src/gen/millpond/v1/job_pb.ts";
import type { FieldViolation } from "./error.ts";
import { MillpondClientError } from "./error.ts";
import { messageTypeOf, type Task } from "./job.ts";
import type { DeadReasonName } from "./names.ts";
import { deadReasonNames } from "./names.ts";

/** Why a job failed. */
export type JobFailure = {
  /** Stable word for programs: the task's own (`image_too_large`) or Millpond's (`task_failed`). */
  readonly reason: string;
  readonly message: string;
  /** Whether the same job might succeed another time. */
  readonly retryable: boolean;
  /** Further facts as the task gave them. */
  readonly details?: { readonly [key: string]: unknown } | undefined;
  /** Where it was thrown, and where its causes were, for people. Undefined in lists, and when it is unknown. */
  readonly stack?: string | undefined;
};

/** Why a job was not accepted. It was never run. */
export type JobRefusal = {
  readonly reason: string;
  readonly message: string;
  /** When to try again, in milliseconds from now; undefined: trying the same again is no use. */
  readonly retryAfterMs?: number | undefined;
  readonly violations: readonly FieldViolation[];
};

type ResultFacts = {
  readonly jobId: string;
  readonly task: string;
  /** How many attempts were counted. */
  readonly attempts: number;
  /** Position in the channel, from 1; 0 when the result went to no channel. */
  readonly cursor: number;
  /** As submitted. */
  readonly labels: { readonly [name: string]: string };
  /** How often the job had been redriven when it came to this end. It has one result for each end. */
  readonly redrives: number;
  /** Why it is DEAD; undefined otherwise. */
  readonly deadReason: DeadReasonName | undefined;
  readonly submittedAt: Date;
  /** Start of the last attempt; undefined when the job never ran, and when its last attempt was lost. */
  readonly startedAt: Date | undefined;
  readonly finishedAt: Date;
  /** From submission to the start of the last attempt; undefined when the job never ran, and when its last attempt was lost. */
  readonly queueWaitMs: number | undefined;
  /** From the start of the last attempt to its end; undefined when the job never ran, and when its last attempt was lost. */
  readonly executionMs: number | undefined;
};

/** How a job ended: with the output of its task, or with a failure. */
export type JobResult<Output = unknown> =
  | (ResultFacts & { readonly state: "SUCCEEDED"; readonly output: Output; readonly failure?: undefined })
  | (ResultFacts & { readonly state: "DEAD" | "CANCELLED"; readonly output?: undefined; readonly failure: JobFailure });

const builtInTypes = createRegistry(
  file_millpond_tasks_v1_db,
  file_millpond_tasks_v1_diagnostic,
  file_millpond_tasks_v1_email,
  file_millpond_tasks_v1_image,
);

/**
 * The result in plain terms. `task` gives the output's type; without it, outputs of built-in tasks are still read into
 * their messages, other messages stay `google.protobuf.Any`. Throws `unexpected_output` when the output has another
 * type than the task's.
 */
export function toJobResult(result: Result, task?: Task): JobResult {
  const { submittedAt, startedAt, finishedAt } = result;
  const startedMs = startedAt && timestampMs(startedAt);
  const facts: ResultFacts = {
    jobId: result.jobId,
    task: result.task,
    attempts: result.attempts,
    cursor: Number(result.cursor),
    labels: { ...result.labels },
    redrives: result.redrives,
    deadReason: deadReasonNames.get(result.deadReason),
    submittedAt: toDate(submittedAt) ?? unknownTime,
    startedAt: toDate(startedAt),
    finishedAt: toDate(finishedAt) ?? unknownTime,
    queueWaitMs:
      startedMs === undefined || submittedAt === undefined ? undefined : startedMs - timestampMs(submittedAt),
    executionMs: startedMs === undefined || finishedAt === undefined ? undefined : timestampMs(finishedAt) - startedMs,
  };
  if (result.state === JobState.SUCCEEDED) {
    const schema = typeof task === "object" ? messageTypeOf(task.output) : undefined;
    return { ...facts, state: "SUCCEEDED", output: outputOf(result, schema) };
  }
  const state = result.state === JobState.CANCELLED ? "CANCELLED" : "DEAD";
  return { ...facts, state, failure: toFailure(result.failure) ?? { reason: "", message: "", retryable: false } };
}

export function toFailure(failure: Failure | undefined): JobFailure | undefined {
  if (failure === undefined) return undefined;
  const { reason, message, retryable, details, stack } = failure;
  return { reason, message, retryable, details, stack: stack === "" ? undefined : stack };
}

export function toRefusal({ reason, message, retryAfter, fieldViolations }: Refusal): JobRefusal {
  return {
    reason,
    message,
    retryAfterMs: retryAfter && durationMs(retryAfter),
    violations: fieldViolations.map(({ field, description }) => ({ field, description })),
  };
}

export function toDate(timestamp: Timestamp | undefined): Date | undefined {
  return timestamp && timestampDate(timestamp);
}

/** For a server that leaves a required time out. */
const unknownTime = new Date(Number.NaN);

function outputOf({ output, jobId, task }: Result, schema: DescMessage | undefined): unknown {
  const found = output?.content.case === "message" ? typeNameOf(output.content.value) : undefined;
  if (schema !== undefined && found !== undefined && found !== schema.typeName) {
    const message = `job ${jobId} of task "${task}" returned ${found}, not ${schema.typeName}: use the server's version of the task`;
    throw new MillpondClientError({ reason: "unexpected_output", codeName: "INTERNAL", message });
  }
  return toValue(output, schema);
}

/** What a payload holds: a message, a JSON value, bytes, or undefined for nothing. `schema` is that of the message. */
export function toValue(payload: Payload | undefined, schema?: DescMessage): unknown {
  switch (payload?.content.case) {
    case "message": {
      const any = payload.content.value;
      const known = schema ?? builtInTypes.getMessage(typeNameOf(any));
      return known === undefined ? any : fromBinary(known, ownBytes(any.value));
    }
    case "json":
      return toJson(ValueSchema, payload.content.value);
    case "data":
      return ownBytes(payload.content.value);
    default:
      return undefined;
  }
}

function typeNameOf({ typeUrl }: Any): string {
  return typeUrl.slice(typeUrl.lastIndexOf("/") + 1);
}

/** Bytes are views of all that was received at once; a small one must not keep the rest in memory. */
function ownBytes(bytes: Uint8Array): Uint8Array {
  return bytes.byteLength * 2 < bytes.buffer.byteLength ? bytes.slice() : bytes;
}
