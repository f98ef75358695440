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
import {
  type Ending,
  type Failure,
  type FinalState,
  isFinal,
  isSuspect,
  type JobState,
  type Lease,
  type Outcome,
  type Payload,
  type Settlement,
} from "./job.ts";

/** What an attempt holds that its settlement depends on. */
export type Attempted = Pick<
  Lease,
  | ("seq" | "id" | "client" | "pool" | "channel" | "attempt" | "fence" | "crashes")
  | ("maxAttempts" | "expiresAt" | "startedAt" | "isCancelling")
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
  const attemptStart = knowsStart ? span.startedAt : null;
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
    startedAt: hasRun ? attemptStart : startBefore(job),
    finishedAt: span.finishedAt,
    ended: { number: job.attempt, startedAt: attemptStart },
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
    ended: { number: attempt, startedAt },
  };
}

/** An attempt that does not count leaves the start of the one before. */
function startBefore({ attempt, startedAt }: Attempted): number | null {
  return attempt > 1 ? startedAt : null;
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

/**
 * Whether a settlement applies to the job that it names. `stale`: the job is not RUNNING under this fence. `cancelling`: it
 * was cancelled meanwhile, and the settlement, made without knowing it, would not end it.
 */
export function judge(
  job: { readonly fence: number; readonly isCancelling: boolean } | undefined,
  { fence, state }: Pick<Settlement, "fence" | "state">,
): "written" | "stale" | "cancelling" {
  if (job?.fence !== fence) return "stale";
  return job.isCancelling && state !== "SUCCEEDED" && state !== "CANCELLED" ? "cancelling" : "written";
}

export type CancelDecision =
  /** It waits: this is its end. No attempt of it ended. */
  | { readonly kind: "cancelled"; readonly ending: Ending }
  /** It runs: its attempt is asked to stop, and what comes of it is decided by `transition`. */
  | { readonly kind: "cancelling" }
  | { readonly kind: "final"; readonly state: FinalState };

/** What a job becomes that its client cancels. */
export function cancel(
  job: {
    readonly state: JobState;
    readonly attempt: number;
    readonly crashes: number;
    readonly runAt: number;
    readonly startedAt: number | null;
  },
  now: number,
): CancelDecision {
  const { state, attempt, crashes, runAt, startedAt } = job;
  if (isFinal(state)) return { kind: "final", state };
  if (state === "RUNNING") return { kind: "cancelling" };
  const ending = {
    ...({ outcome: "cancelled", state: "CANCELLED", deadReason: null, attempt, crashes, runAt, startedAt } as const),
    ...{ output: null, failure: cancelled, finishedAt: now, ended: { number: 0, startedAt: null } },
  };
  return { kind: "cancelled", ending };
}

/** What a DEAD job becomes that its client redrives: as new, but for its history. */
export function redrive(job: { readonly redrives: number }, runAt: number) {
  return {
    ...({ state: "QUEUED", runAt, attempt: 0, crashes: 0, redrives: job.redrives + 1 } as const),
    ...{ expiresAt: null, startedAt: null },
  };
}

/** The failure of a job that was cancelled, before it ran or while it did. */
const cancelled: Failure = { reason: "cancelled", message: "the job was cancelled", retryable: false };

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
