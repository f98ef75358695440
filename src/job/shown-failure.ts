import type { Failure } from "./job.ts";

/** A failure whose sentence and stack name what is wrong in an output. */
const showsOutput = "bad_output";

export type ShownFailure = Pick<Failure, "reason" | "message" | "stack">;

/** A failure as others than the job's client see it, in logs, spans and alerts: no part of an output, and no details. */
export function shownFailure({ reason, message, stack }: Failure): ShownFailure {
  if (reason === showsOutput) return { reason, message: "the task returned what it may not; GetJob shows where" };
  return stack === undefined ? { reason, message } : { reason, message, stack };
}
