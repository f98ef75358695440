/**
 * The state machine. A job is QUEUED, a lease makes it RUNNING, and the outcome of the attempt decides here, and only
 * here, what it becomes:
 *
 * | outcome                              | attempts left           | none left        |
 * |--------------------------------------|-------------------------|------------------|
 * | succeeded                            | SUCCEEDED               | SUCCEEDED        |
 * | failed (retryable), timed_out, lost  | QUEUED after a backoff  | DEAD `exhausted` |
 * | failed (permanent)                   | DEAD `permanent`        | the same         |
 * | released                             | QUEUED now, not counted | the same         |
 * | cancelled                            | CANCELLED               | CANCELLED        |
 * | expired                              | DEAD `expired`          | the same         |
 *
 * Beyond the table:
 * - A job that was cancelled while it ran is CANCELLED by every outcome but `succeeded`: it is never tried again.
 * - A job whose next attempt would start after its deadline is DEAD `expired` at once.
 * - A job that was running in `suspectAfterCrashes` server processes that died is a suspect, and runs in a process of its
 *   own from then on. When that one dies, the job is DEAD `poison`, whatever attempts are left. The death of a server
 *   convicts nobody, however often it comes: any of the jobs that ran may be to blame, or none.
 */
import { backoffMs, type RetryPolicy } from "./backoff.ts";
import { type Failure, isSuspect, type Lease, type Outcome, type Payload, type Settlement } from "./job.ts";

/** What an attempt holds that its settlement depends on. */
export type Attempted = Pick<
  Lease,
  | "seq"
  | "id"
  | "client"
  | "pool"
  | "channel"
  | "attempt"
  | "fence"
  | "crashes"
  | "maxAttempts"
  | "expiresAt"
  | "isCancelling"
>;

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
  if (outcome.kind === "succeeded") return succeeded(job, outcome.output, span);
  const hasRun = !(outcome.kind === "released" || (outcome.kind === "expired" && !outcome.hasStarted));
  // how a lost attempt went is unknown: its span is the moment at which the loss was found
  const knowsStart = hasRun && (outcome.kind !== "lost" || outcome.died === "own_process");
  const settled: Unsettled = {
    seq: job.seq,
    fence: job.fence,
    id: job.id,
    client: job.client,
    pool: job.pool,
    channel: job.channel,
    outcome: outcome.kind,
    deadReason: null,
    attempt: hasRun ? job.attempt : job.attempt - 1,
    crashes: job.crashes + (isBlamed(job, outcome) ? 1 : 0),
    runAt: span.finishedAt,
    output: null,
    failure: null,
    startedAt: knowsStart ? span.startedAt : null,
    finishedAt: span.finishedAt,
  };
  if (outcome.kind === "cancelled" || job.isCancelling) {
    return { ...settled, outcome: "cancelled", state: "CANCELLED", failure: cancelled };
  }
  switch (outcome.kind) {
    case "released":
      return { ...settled, state: "QUEUED" };
    case "expired":
      return { ...settled, state: "DEAD", deadReason: "expired", failure: expired(outcome.hasStarted) };
    case "failed":
      return failed(settled, outcome.failure, job, policy, random);
    case "timed_out":
      return failed(settled, timedOut(outcome.timeoutMs), job, policy, random);
    case "lost":
      if (outcome.died !== "own_process") return failed(settled, lost, job, policy, random);
      return { ...settled, state: "DEAD", deadReason: "poison", failure: poison(outcome.how) };
  }
}

/** A suspect does not run in the server's process, and has no part in the death of that. */
function isBlamed(job: Attempted, outcome: Outcome): boolean {
  if (outcome.kind !== "lost" || outcome.died === null) return false;
  return outcome.died === "own_process" || !isSuspect(job);
}

/** In one piece, and not made from another, for it is what becomes of most jobs. */
function succeeded(
  { seq, fence, id, client, pool, channel, attempt, crashes }: Attempted,
  output: Payload | null,
  { startedAt, finishedAt }: Span,
): Settlement {
  return {
    seq,
    fence,
    id,
    client,
    pool,
    channel,
    outcome: "succeeded",
    state: "SUCCEEDED",
    deadReason: null,
    attempt,
    crashes,
    runAt: finishedAt,
    output,
    failure: null,
    startedAt,
    finishedAt,
  };
}

type Unsettled = Omit<Settlement, "state">;

function failed(
  settled: Unsettled,
  failure: Failure,
  { maxAttempts, expiresAt }: Attempted,
  policy: RetryPolicy,
  random: () => number,
): Settlement {
  if (!failure.retryable) return { ...settled, state: "DEAD", deadReason: "permanent", failure };
  if (settled.attempt >= maxAttempts) return { ...settled, state: "DEAD", deadReason: "exhausted", failure };
  const delayMs = Math.ceil(failure.retryAfterMs ?? backoffMs(policy, settled.attempt, random));
  const runAt = settled.finishedAt + delayMs;
  if (expiresAt !== null && runAt >= expiresAt) return { ...settled, state: "DEAD", deadReason: "expired", failure };
  return { ...settled, state: "QUEUED", failure, runAt };
}

/** What a job says that was cancelled, before it ran or while it did. */
export const cancelled: Failure = { reason: "cancelled", message: "the job was cancelled", retryable: false };

const lost: Failure = {
  reason: "lost",
  message: "the worker was lost before the attempt ended",
  retryable: true,
};

function timedOut(timeoutMs: number): Failure {
  return {
    reason: "timed_out",
    message: `the attempt took longer than its timeout of ${timeoutMs} ms`,
    retryable: true,
  };
}

function expired(hasStarted: boolean): Failure {
  const message = hasStarted ? "its deadline passed while it ran" : "its deadline passed before it was started";
  return { reason: "expired", message, retryable: false };
}

function poison(how: string): Failure {
  return {
    reason: "poison",
    message: `the process that ran this job and nothing else died (${how}): the job is not tried again`,
    retryable: false,
  };
}
