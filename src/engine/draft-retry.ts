/** How a job's own retry policy may differ from its task's. */
import type { FieldViolation } from "../errors.ts";
import type { RetryPolicy } from "../job/backoff.ts";
import { maxDelayMs, shownDuration } from "./draft-bounds.ts";

const maxFactor = 100;

/** Adds what is wrong to `violations`. */
export function checkRetry(retry: Partial<RetryPolicy>, violations: FieldViolation[]): void {
  const { maxAttempts, baseMs, factor, maxBackoffMs } = retry;
  if (maxAttempts !== undefined && !(Number.isInteger(maxAttempts) && maxAttempts >= 1 && maxAttempts <= 100)) {
    violations.push({ field: "retry.max_attempts", description: `is ${maxAttempts} and must be 1 to 100` });
  }
  checkDelay("retry.base", baseMs, violations);
  if (factor !== undefined && !(factor >= 1 && factor <= maxFactor)) {
    violations.push({ field: "retry.factor", description: `is ${factor} and must be 1 to ${maxFactor}` });
  }
  checkDelay("retry.max_backoff", maxBackoffMs, violations);
}

function checkDelay(field: string, delayMs: number | undefined, violations: FieldViolation[]): void {
  if (delayMs === undefined || (delayMs >= 0 && delayMs <= maxDelayMs)) return;
  violations.push({ field, description: `is ${shownDuration(delayMs)} and must be 0 to a year` });
}
