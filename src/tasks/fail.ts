import { FailInputSchema, FailOutputSchema } from "../gen/millpond/tasks/v1/diagnostic_pb.ts";
import { defineTask, TaskError } from "../pool/task.ts";

const maxMessageLength = 4096;

/** `fail`: fails in the way its input says. For trying out how a client shows failures. */
export default defineTask({
  name: "fail",
  pool: "cpu",
  description: "Always fails, with the reason, message and details of its input.",
  input: FailInputSchema,
  output: FailOutputSchema,
  check({ reason, message }) {
    const violations = [];
    if (!/^[a-z0-9_]{0,64}$/.test(reason)) {
      violations.push({ field: "reason", description: "must be at most 64 characters of [a-z0-9_]" });
    }
    if (message.length > maxMessageLength) {
      const description = `has ${message.length} characters and the limit is ${maxMessageLength}`;
      violations.push({ field: "message", description });
    }
    return violations;
  },
  run({ reason, message, retryable, details }) {
    throw new TaskError(reason || "task_failed", message || "failed as it was asked to", {
      retryable,
      ...(details && { details }),
    });
  },
});
