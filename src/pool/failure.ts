/** Whatever a task throws, as data. */
import type { Failure } from "../job/job.ts";
import { plain, textOf } from "./plain.ts";
import { TaskError } from "./task.ts";

const maxMessageChars = 4096;
/** The longest delay that a task may ask for: a year. */
const maxRetryAfterMs = 365 * 24 * 60 * 60 * 1000;

/** A TaskError keeps its words; anything else is `task_failed` and retryable. Never throws itself. */
export function failureOf(error: unknown): Failure {
  const message = textOf(error, maxMessageChars);
  try {
    return isTaskError(error) ? ofTaskError(error, message) : taskFailed(message);
  } catch {
    return taskFailed(message); // one of its getters threw
  }
}

function taskFailed(message: string): Failure {
  return { reason: "task_failed", message, retryable: true };
}

/** By name too: a task may come with its own copy of this package, perhaps of another version. */
function isTaskError(error: unknown): error is Partial<TaskError> {
  return error instanceof TaskError || (error instanceof Error && error.name === "TaskError" && "reason" in error);
}

function ofTaskError({ reason, retryable, retryAfterMs, details }: Partial<TaskError>, message: string): Failure {
  return {
    reason: isReason(reason) ? reason : "task_failed",
    message,
    retryable: retryable !== false,
    ...(typeof retryAfterMs === "number" &&
      retryAfterMs >= 0 && { retryAfterMs: Math.ceil(Math.min(retryAfterMs, maxRetryAfterMs)) }), // times are whole
    ...(details && { details: plain(details) }),
  };
}

/** A task may come with its own copy of this package, so nothing about its error is certain. */
function isReason(reason: unknown): reason is string {
  return typeof reason === "string" && /^[a-z0-9_]{1,64}$/.test(reason);
}
