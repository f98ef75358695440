/** When a job may start, until when it is wanted, and how long one attempt may take. */
import type { FieldViolation } from "../../errors.ts";
import { maxDelayMs, shownDuration, shownTime } from "./draft-bounds.ts";

export type GivenTimes = {
  readonly start: { readonly at: number } | { readonly delayMs: number } | null;
  readonly expiresAt: number | null;
  readonly timeoutMs: number | null;
  /** It has an id or a key of the client's: it may have been submitted before, when its deadline was still ahead. */
  readonly isNamed: boolean;
};

/** Adds what is wrong to `violations`. `ceilingMs` is the task's own timeout. Returns when the job may start. */
export function checkTimes(
  { start, expiresAt, timeoutMs, isNamed }: GivenTimes,
  now: number,
  ceilingMs: number,
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
