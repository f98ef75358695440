import type { FieldViolation } from "../errors.ts";
import { FailInputSchema, FailOutputSchema } from "../gen/millpond/tasks/v1/diagnostic_pb.ts";
import { defineTask, TaskError } from "../pool/task.ts";

const maxMessageLength = 4096;
/** The most attempts that a job can have. */
const maxTimes = 100;

/**
 * `fail`: fails as its input requests, in every attempt or only in the first ones. For trying out retries and failures.
 */
export default defineTask({
  name: "fail",
  pool: "cpu",
  description:
    "Fails with the reason, message and details of its input, permanently unless `retryable` is set. With `times`, only the " +
    "first attempts fail, and the next one succeeds and returns the message and details.",
  input: FailInputSchema,
  output: FailOutputSchema,
  check({ reason, message, times }) {
    const violations: FieldViolation[] = [];
    if (!/^[a-z0-9_]{0,64}$/.test(reason)) {
      violations.push({ field: "reason", description: "must be at most 64 characters of [a-z0-9_]" });
    }
    if (message.length > maxMessageLength) {
      const description = `has ${message.length} characters and the limit is ${maxMessageLength}`;
      violations.push({ field: "message", description });
    }
    if (times > maxTimes) {
      violations.push({ field: "times", description: `is ${times} and must be 0 to ${maxTimes}` });
    }
    return violations;
  },
  run({ reason, message, retryable, details, times, retryAfterMs }, { attempt }) {
    if (times > 0 && attempt > times) return { attempt, message, ...(details && { details }) };
    throw new TaskError(reason || "task_failed", message || "failed as requested", {
      retryable: retryable || times > 0,
      ...(retryAfterMs !== undefined && { retryAfterMs }),
      ...(details && { details }),
    });
  },
});
