/**
 * The state machine. A job is QUEUED, a lease makes it RUNNING, and the outcome of the attempt determines its next
 * state, which is decided here and nowhere else:
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
 * - A job that was cancelled while it ran becomes CANCELLED by every outcome except `succeeded`: it is never retried.
 * - A job whose next attempt would start after its deadline becomes DEAD `expired` at once.
 * - A job that was running in `suspectAfterCrashes` server processes that died is a suspect, and from then on runs in a
 *   process of its own. When that process dies, the job becomes DEAD `poison`, even if attempts are left. Deaths of
 *   servers alone never do that: any of the jobs that ran may be to blame, or none.
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

/** The fields of a lease that the settlement depends on. */
export type Attempted = Pick<
  Lease,
  | ("seq" | "id" | "client" | "pool" | "channel" | "attempt" | "fence" | "crashes")
  | ("maxAttempts" | "expiresAt" | "startedAt" | "isCancelling")
>;

/** When an attempt started and ended, in milliseconds since 1970. */
export type Span = { readonly startedAt: number; readonly finishedAt: number };

/** Pure: the same arguments give the same settlement. `random` returns numbers in [0, 1). */
export function transition(
  job: Attempted,
  outcome: Outcome,
  policy: RetryPolicy,
  span: Span,
  random: () => number,
): Settlement {
  if (outcome.kind === "succeeded") return succeeded(job, outcome.output, span);
  const hasRun = !(outcome.kind === "released" || (outcome.kind === "expired" && !outcome.hasStarted));
  // the start of a lost attempt is unknown: its span is the time at which the loss was found
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

/** A suspect does not run in the server's process, and so is not to blame for its death. */
function isBlamed(job: Attempted, outcome: Outcome): boolean {
  if (outcome.kind !== "lost" || outcome.died === null) return false;
  return outcome.died === "own_process" || !isSuspect(job);
}

/** One object literal without a spread, because most attempts succeed. */
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

/** After an attempt that does not count, the start of the previous one is kept. */
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
 * Whether a settlement applies to its job. `stale`: the job is not RUNNING with this fence. `cancelling`: it was
 * cancelled meanwhile, and the settlement, which was made before, would not end it.
 */
export function judge(
  job: { readonly fence: number; readonly isCancelling: boolean } | undefined,
  { fence, state }: Pick<Settlement, "fence" | "state">,
): "written" | "stale" | "cancelling" {
  if (job?.fence !== fence) return "stale";
  return job.isCancelling && state !== "SUCCEEDED" && state !== "CANCELLED" ? "cancelling" : "written";
}

export type CancelDecision =
  /** It waits: this is its ending, without an attempt. */
  | { readonly kind: "cancelled"; readonly ending: Ending }
  /** It runs: the attempt is asked to stop, and `transition` decides about its outcome. */
  | { readonly kind: "cancelling" }
  | { readonly kind: "final"; readonly state: FinalState };

/** Decides about a job that its client cancels. */
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

/** The state of a redriven DEAD job: like a new one, except for its history. */
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
