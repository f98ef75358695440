/** How a job's own retry policy may differ from its task's. */
import type { FieldViolation } from "../../errors.ts";
import type { RetryPolicy } from "../../job/backoff.ts";
import { maxDelayMs, shownDuration } from "./draft-bounds.ts";

/** A number in place of the jitter is one of the protocol's that stands for none. */
export type GivenRetry = Partial<Omit<RetryPolicy, "jitter">> & { readonly jitter?: RetryPolicy["jitter"] | number };

const maxFactor = 100;

/** Adds what is wrong to `violations`. */
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
