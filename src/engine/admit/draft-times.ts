/** When a job may start, until when it is wanted, how long one attempt may take, and when it is tried again. */
import type { FieldViolation } from "../../errors.ts";
import type { RetryPolicy } from "../../job/backoff.ts";

/** A year: the furthest ahead that a job or a retry may be put off. */
const maxDelayMs = 365 * 24 * 3_600_000;
const maxFactor = 100;
/** What JavaScript can show as a date. */
const lastTime = 8.64e15;

export type GivenTimes = {
  readonly start: { readonly at: number } | { readonly delayMs: number } | null;
  readonly expiresAt: number | null;
  readonly timeoutMs: number | null;
};

/** What the times are checked against. */
export type TimeBounds = {
  /** It has an id or a key of the client's: it may have been submitted before, when its deadline was still ahead. */
  readonly isNamed: boolean;
  readonly now: number;
  /** The task's own timeout. */
  readonly ceilingMs: number;
};

/** A number in place of the jitter is one of the protocol's that stands for none. */
export type GivenRetry = Partial<Omit<RetryPolicy, "jitter">> & { readonly jitter?: RetryPolicy["jitter"] | number };

/** Adds what is wrong to `violations`. Returns when the job may start. */
export function checkTimes(
  { start, expiresAt, timeoutMs }: GivenTimes,
  { isNamed, now, ceilingMs }: TimeBounds,
  violations: FieldViolation[],
): number {
  const runAt = startOf(start, now, violations);
  // of a named job only the store knows whether it is late: whoever repeats a submit meets the job that is there
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

/** What is wrong with a deadline; undefined when it is fine. */
export function faultOfDeadline(expiresAt: number, runAt: number, now: number): FieldViolation | undefined {
  if (expiresAt > runAt) return undefined;
  const bound =
    expiresAt > now ? `after the job's start, ${shownTime(runAt)}` : `in the future; it is ${shownTime(now)}`;
  return { field: "expires_at", description: `is ${shownTime(expiresAt)} and must be ${bound}` };
}

/** Checks how a job's retry policy differs from its task's. Adds what is wrong to `violations`. */
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
