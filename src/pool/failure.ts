/** Whatever a task throws, as data. */
import type { Failure, JsonValue } from "../job/job.ts";
import { depthOf, maxJsonDepth } from "./depth.ts";
import { TaskError } from "./task.ts";

const maxMessageChars = 4096;
const maxDetailsChars = 16_384;
/** The longest delay that a task may ask for: a year. */
const maxRetryAfterMs = 365 * 24 * 60 * 60 * 1000;

/**
 * A TaskError keeps its words; any other error is `task_failed` and retryable. What an AbortSignal made of an attempt
 * that was told to stop is `cancelled`, in the words of whatever listened to the signal.
 */
export function failureOf(error: unknown, wasToldToStop = false): Failure {
  const message = (error instanceof Error ? error.message : String(error)).slice(0, maxMessageChars);
  // by name too: a task may come with its own copy of this package
  if (error instanceof TaskError || (error instanceof Error && error.name === "TaskError" && "reason" in error)) {
    const { reason, retryable, retryAfterMs, details } = error as Partial<TaskError>; // a copy may be of another version
    return {
      reason: isReason(reason) ? reason : "task_failed",
      message,
      retryable: retryable ?? true,
      ...(typeof retryAfterMs === "number" &&
        retryAfterMs >= 0 && { retryAfterMs: Math.ceil(Math.min(retryAfterMs, maxRetryAfterMs)) }), // times are whole
      ...(details && { details: plain(details) }),
    };
  }
  const hasObeyed = wasToldToStop && error instanceof Error && error.name === "AbortError";
  return { reason: hasObeyed ? "cancelled" : "task_failed", message, retryable: true };
}

/** Details are kept when they are JSON of a bearable size; otherwise a word says why they are not. */
function plain(details: object): { [key: string]: JsonValue } {
  try {
    const text = JSON.stringify(details);
    if (depthOf(text) > maxJsonDepth) return { dropped: `details nested deeper than ${maxJsonDepth} levels` };
    if (text.length <= maxDetailsChars) return JSON.parse(text) as { [key: string]: JsonValue };
    return { dropped: `details of ${text.length} characters, the limit is ${maxDetailsChars}` };
  } catch {
    return { dropped: "details that are not JSON" };
  }
}

/** A task may come with its own copy of this package, so nothing about its error is certain. */
function isReason(reason: unknown): reason is string {
  return typeof reason === "string" && /^[a-z0-9_]{1,64}$/.test(reason);
}
