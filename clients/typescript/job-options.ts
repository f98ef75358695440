import type { MessageInitShape } from "@bufbuild/protobuf";
import type { TraceContext } from "../../src/job/trace.ts";
import type { JobSpecSchema } from "../../src/gen/millpond/v1/job_pb.ts";
import { toDuration, toInteger, toNumber, toTexts, toTimestamp, unfit } from "./encode.ts";
import { type JitterName, jitterNames } from "./names.ts";

/** How often a job is tried and how long it waits in between. What is left out is the task's. */
export type RetryOptions = {
  /** Attempts in all, 1 to 100. */
  readonly maxAttempts?: number | undefined;
  /** Delay before the second attempt in milliseconds, 0 to a year. */
  readonly baseMs?: number | undefined;
  /** What the delay is multiplied by from one attempt to the next, 1 to 100. */
  readonly factor?: number | undefined;
  /** No delay is longer, in milliseconds, 0 to a year. */
  readonly maxBackoffMs?: number | undefined;
  /** `full`: each delay is drawn evenly from 0 to the exponential value; `none`: it is that value. */
  readonly jitter?: JitterName | undefined;
};

/** When and how a job is run. The server checks the bounds. */
export type ExecutionOptions = {
  /** Of two due jobs the one with the higher priority starts first: -100 to 100. Default 0. */
  readonly priority?: number | undefined;
  /** When the job may start at the earliest, at most a year ahead. Default: at once. Not together with `delayMs`. */
  readonly runAt?: Date | undefined;
  /** The same from now on, 0 to a year. */
  readonly delayMs?: number | undefined;
  /** The job's deadline: no attempt starts after it, and one that runs then is asked to stop. Default: none. */
  readonly expiresAt?: Date | undefined;
  /** Bound on one attempt, 1 ms to the task's own. Default: the task's. */
  readonly timeoutMs?: number | undefined;
  /** What differs from the task's retry policy. */
  readonly retry?: RetryOptions | undefined;
  /** Names and values for your own use: at most 16. They come with the result, and filters find jobs by them. */
  readonly labels?: { readonly [name: string]: string } | undefined;
  /** Your own text about the job, such as JSON that says who asked for it: at most 1024 characters. `getJob` shows it. */
  readonly memo?: string | undefined;
  /**
   * The trace that the job belongs to, such as `ctx.trace` of a task. Default: that of the active span, in a program that has
   * registered an OpenTelemetry SDK.
   */
  readonly trace?: TraceContext | undefined;
};

/** What may be said of a job besides its task and its input. */
export type JobOptions = ExecutionOptions & {
  /** Where the result goes: at most 100 characters of [A-Za-z0-9._-]. Default: `default`, or the stream's own channel. */
  readonly channel?: string | undefined;
  /** A UUID of your own; it comes back in lower case. Default: a new UUIDv7. Submitting an id again is the same job. */
  readonly id?: string | undefined;
  /**
   * Your own name for this piece of work, such as `invoice-4711`: 1 to 200 visible ASCII characters. For 24 hours a job
   * with the same key is the same job; with other content it is refused with `key_exists`.
   */
  readonly idempotencyKey?: string | undefined;
  /** Fire and forget: the result goes to no channel. Default false. */
  readonly discardResult?: boolean | undefined;
};

/** The options as fields of a JobSpec. Throws `invalid_argument` for what cannot be sent. */
export function toSpecFields(options: Omit<JobOptions, "id" | "channel">): MessageInitShape<typeof JobSpecSchema> {
  const {
    idempotencyKey = "",
    priority = 0,
    expiresAt,
    timeoutMs,
    retry,
    labels,
    memo = "",
    trace,
    discardResult = false,
  } = options;
  return {
    idempotencyKey,
    priority: toInteger(priority, "priority", -0x80000000),
    start: startOf(options),
    expiresAt: toTimestamp(expiresAt, "expires_at"),
    timeout: toDuration(timeoutMs, "timeout"),
    retry: retry && retryOf(retry),
    labels: toTexts(labels, "labels"),
    memo,
    ...(trace && { traceContext: toTexts({ ...trace }, "trace") }),
    discardResult,
  };
}

function startOf({ runAt, delayMs }: ExecutionOptions) {
  if (runAt !== undefined && delayMs !== undefined) throw unfit("run_at", "is given together with delayMs: keep one");
  const at = toTimestamp(runAt, "run_at");
  if (at !== undefined) return { case: "runAt" as const, value: at };
  const delay = toDuration(delayMs, "delay");
  return delay === undefined ? { case: undefined } : { case: "delay" as const, value: delay };
}

function retryOf({ maxAttempts, baseMs, factor, maxBackoffMs, jitter }: RetryOptions) {
  return {
    ...(maxAttempts !== undefined && { maxAttempts: toInteger(maxAttempts, "retry.max_attempts", 0) }),
    base: toDuration(baseMs, "retry.base"),
    ...(factor !== undefined && { factor }),
    maxBackoff: toDuration(maxBackoffMs, "retry.max_backoff"),
    ...(jitter && { jitter: toNumber(jitter, "retry.jitter", jitterNames) }),
  };
}
