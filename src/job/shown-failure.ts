import type { Failure } from "./job.ts";

/** Failures whose sentence and stack name what is wrong in an input or output. */
const quoting: ReadonlyMap<string, string> = new Map([
  ["bad_input", "the task no longer takes its input; GetJob shows why"],
  ["bad_output", "the task returned what it may not; GetJob shows where"],
]);

export type ShownFailure = Pick<Failure, "reason" | "message" | "stack">;

/** A failure as others than the job's client see it, in logs, spans and alerts: no part of an input or output, and no details. */
export function shownFailure({ reason, message, stack }: Failure): ShownFailure {
  const instead = quoting.get(reason);
  if (instead !== undefined) return { reason, message: instead };
  return stack === undefined ? { reason, message } : { reason, message, stack };
}
