/** Converts anything a task throws to a failure, as plain data. */
import type { Failure } from "../job/job.ts";
import { cut, plain, read, textOf } from "./sanitize.ts";
import { TaskError } from "./task.ts";
import { maxMessageChars, type Thrown, thrownOf } from "./thrown.ts";

/** The longest delay that a task may request: a year. */
const maxRetryAfterMs = 365 * 24 * 60 * 60 * 1000;
const maxShownReasonChars = 80;

/** A TaskError keeps its message; anything else is `task_failed` and retryable. Never throws itself. */
export function failureOf(error: unknown): Failure {
  const thrown = thrownOf(error);
  try {
    return isTaskError(error) ? ofTaskError(error, thrown) : taskFailed(thrown);
  } catch {
    return taskFailed(thrown); // one of its getters threw
  }
}

function taskFailed({ message, stack }: Thrown): Failure {
  return { reason: "task_failed", message, retryable: true, ...(stack !== undefined && { stack }) };
}

/** Also recognized by name: a task may use its own copy of this package, perhaps of another version. */
export function isTaskError(error: unknown): error is Partial<TaskError> {
  return error instanceof TaskError || (error instanceof Error && error.name === "TaskError" && "reason" in error);
}

function ofTaskError(error: Partial<TaskError>, thrown: Thrown): Failure {
  const { reason, retryAfterMs } = error;
  const failure = taskFailed(isReason(reason) ? thrown : { ...thrown, message: withBadReason(thrown.message, reason) });
  const details = read(error, "details");
  return {
    ...failure,
    reason: isReason(reason) ? reason : failure.reason,
    retryable: error.retryable !== false,
    ...(typeof retryAfterMs === "number" &&
      retryAfterMs >= 0 && { retryAfterMs: Math.ceil(Math.min(retryAfterMs, maxRetryAfterMs)) }), // times are whole
    ...(details !== undefined && details !== null && { details: plain(details) }),
  };
}

/** Checked, because the error may come from another copy of this package. */
function isReason(reason: unknown): reason is string {
  return typeof reason === "string" && /^[a-z0-9_]{1,64}$/.test(reason);
}

function withBadReason(message: string, reason: unknown): string {
  const shown = textOf(reason, maxShownReasonChars);
  const note = ` (its reason "${shown}" is not 1 to 64 characters of [a-z0-9_])`;
  return cut(message, maxMessageChars - note.length) + note;
}
