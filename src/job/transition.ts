/**
 * The state machine. A job is QUEUED, a lease makes it RUNNING, and the outcome of the attempt decides here, and only
 * here, what it becomes:
 *
 * | outcome                              | attempts left           | none left |
 * |--------------------------------------|-------------------------|-----------|
 * | succeeded                            | SUCCEEDED               | SUCCEEDED |
 * | failed (retryable), timed_out, lost  | QUEUED after a backoff  | DEAD      |
 * | failed (permanent)                   | DEAD                    | DEAD      |
 * | released                             | QUEUED now, not counted | the same  |
 * | cancelled                            | CANCELLED               | CANCELLED |
 *
 * Beyond the table: a job that was running in `poisonAfterCrashes` processes that died is DEAD with reason `poison`,
 * whatever attempts are left, for it is likely to be what killed them.
 */
import { backoffMs, type RetryPolicy } from "./backoff.ts";
import type { Failure, Lease, Outcome, Settlement } from "./job.ts";

export const poisonAfterCrashes = 3;

/** What an attempt holds that its settlement depends on. */
export type Attempted = Pick<Lease, "seq" | "attempt" | "fence" | "crashes" | "maxAttempts">;

/** When an attempt began and ended, in milliseconds since 1970. */
export type Span = { readonly startedAt: number; readonly finishedAt: number };

/** Pure: the same arguments (with the same `random`, which is in [0, 1)) always give the same settlement. */
export function transition(
  job: Attempted,
  outcome: Outcome,
  policy: RetryPolicy,
  span: Span,
  random: () => number,
): Settlement {
  const crashes = job.crashes + (outcome.kind === "lost" && outcome.crashed ? 1 : 0);
  const settled = {
    seq: job.seq,
    fence: job.fence,
    attempt: job.attempt,
    crashes,
    runAt: span.finishedAt,
    output: null,
    failure: null,
    startedAt: span.startedAt,
    finishedAt: span.finishedAt,
  };
  switch (outcome.kind) {
    case "succeeded":
      return { ...settled, state: "SUCCEEDED", output: outcome.output };
    case "cancelled":
      return { ...settled, state: "CANCELLED", failure: cancelled };
    case "released":
      return { ...settled, state: "QUEUED", attempt: job.attempt - 1 };
    default:
      return failed(settled, failureOf(outcome, crashes), job.maxAttempts, policy, random);
  }
}

type Unsettled = Omit<Settlement, "state">;

function failed(
  settled: Unsettled,
  failure: Failure,
  maxAttempts: number,
  policy: RetryPolicy,
  random: () => number,
): Settlement {
  if (!failure.retryable || settled.attempt >= maxAttempts) return { ...settled, state: "DEAD", failure };
  const delayMs = Math.ceil(failure.retryAfterMs ?? backoffMs(policy, settled.attempt, random));
  return { ...settled, state: "QUEUED", failure, runAt: settled.finishedAt + delayMs };
}

const cancelled: Failure = { reason: "cancelled", message: "the job was cancelled", retryable: false };

function failureOf(outcome: Extract<Outcome, { kind: "failed" | "timed_out" | "lost" }>, crashes: number): Failure {
  switch (outcome.kind) {
    case "failed":
      return outcome.failure;
    case "timed_out":
      return {
        reason: "timed_out",
        message: `the attempt took longer than its timeout of ${outcome.timeoutMs} ms`,
        retryable: true,
      };
    case "lost":
      if (crashes >= poisonAfterCrashes) {
        return {
          reason: "poison",
          message: `${crashes} processes died while they ran this job: it is not tried again`,
          retryable: false,
        };
      }
      return { reason: "lost", message: "the worker was lost before the attempt ended", retryable: true };
  }
}
