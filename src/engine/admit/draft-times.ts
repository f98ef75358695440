/** Checks the times of a job: start, deadline, timeout of an attempt, and retry delays. */
import type { FieldViolation } from "../../errors.ts";
import type { RetryPolicy } from "../../job/backoff.ts";

/** A year: the longest delay of a job or a retry. */
const maxDelayMs = 365 * 24 * 3_600_000;
const maxFactor = 100;
/** The last time that a JavaScript Date can represent. */
const lastTime = 8.64e15;

export type GivenTimes = {
  readonly start: { readonly at: number } | { readonly delayMs: number } | null;
  readonly expiresAt: number | null;
  readonly timeoutMs: number | null;
};

/** Facts that the times are checked against. */
export type TimeBounds = {
  /**
   * Whether the client chose its id or a key: it may have been submitted before, when its deadline was in the future.
   */
  readonly isNamed: boolean;
  readonly now: number;
  /** The task's own timeout. */
  readonly ceilingMs: number;
};

/** A number as jitter is a value of the protocol's enum that has no meaning. */
export type GivenRetry = Partial<Omit<RetryPolicy, "jitter">> & { readonly jitter?: RetryPolicy["jitter"] | number };

/** Adds to `violations`. Returns when the job may start. */
export function checkTimes(
  { start, expiresAt, timeoutMs }: GivenTimes,
  { isNamed, now, ceilingMs }: TimeBounds,
  violations: FieldViolation[],
): number {
  const runAt = startOf(start, now, violations);
  // whether a named job is late is only known in the store: a repeated submit finds the existing job
  if (expiresAt !== null && !(isNamed && Number.isFinite(expiresAt))) {
    const fault = faultOfDeadline(expiresAt, runAt, now);
    if (fault) violations.push(fault);
  }
  if (timeoutMs !== null && !(timeoutMs >= 1 && timeoutMs <= ceilingMs)) {
    const bound = `1 ms to ${ceilingMs} ms, which is the task's own timeout`;
    violations.push({ field: "timeout", description: `is ${shownDuration(timeoutMs)} and must be ${bound}` });
  }
  return runAt;
}

function startOf(start: GivenTimes["start"], now: number, violations: FieldViolation[]): number {
  if (start === null) return now;
  if ("at" in start) {
    if (start.at <= now + maxDelayMs) return Math.max(start.at, now);
    const bound = `at most a year ahead, ${shownTime(now + maxDelayMs)}`;
    violations.push({ field: "run_at", description: `is ${shownTime(start.at)} and must be ${bound}` });
    return now;
  }
  if (start.delayMs >= 0 && start.delayMs <= maxDelayMs) return now + start.delayMs;
  violations.push({ field: "delay", description: `is ${shownDuration(start.delayMs)} and must be 0 to a year` });
  return now;
}

/** The fault of a deadline; undefined: it is valid. */
export function faultOfDeadline(expiresAt: number, runAt: number, now: number): FieldViolation | undefined {
  if (expiresAt > runAt) return undefined;
  const bound =
    expiresAt > now ? `after the job's start, ${shownTime(runAt)}` : `in the future; it is ${shownTime(now)}`;
  return { field: "expires_at", description: `is ${shownTime(expiresAt)} and must be ${bound}` };
}

/** Checks a job's changes of its task's retry policy. Adds to `violations`. */
export function checkRetry(retry: GivenRetry, violations: FieldViolation[]): void {
  const { maxAttempts, baseMs, factor, maxBackoffMs, jitter } = retry;
  if (maxAttempts !== undefined && !(Number.isInteger(maxAttempts) && maxAttempts >= 1 && maxAttempts <= 100)) {
    violations.push({ field: "retry.max_attempts", description: `is ${maxAttempts} and must be 1 to 100` });
  }
  checkDelay("retry.base", baseMs, violations);
  if (factor !== undefined && !(factor >= 1 && factor <= maxFactor)) {
    violations.push({ field: "retry.factor", description: `is ${factor} and must be 1 to ${maxFactor}` });
  }
  checkDelay("retry.max_backoff", maxBackoffMs, violations);
  if (typeof jitter === "number") {
    const bound = "JITTER_FULL (1) or JITTER_NONE (2), or left out";
    violations.push({ field: "retry.jitter", description: `is ${jitter} and must be ${bound}` });
  }
}

function checkDelay(field: string, delayMs: number | undefined, violations: FieldViolation[]): void {
  if (delayMs === undefined || (delayMs >= 0 && delayMs <= maxDelayMs)) return;
  violations.push({ field, description: `is ${shownDuration(delayMs)} and must be 0 to a year` });
}

function shownTime(at: number): string {
  return Math.abs(at) <= lastTime ? new Date(at).toISOString() : "no time";
}

function shownDuration(ms: number): string {
  return Number.isFinite(ms) ? `${ms} ms` : "no duration";
}
