import type { Failure } from "./job.ts";

/** Failures whose message and stack may quote an input or output, with the message to show instead. */
const quoting: ReadonlyMap<string, string> = new Map([
  ["bad_input", "the task no longer takes its input; GetJob shows why"],
  ["bad_output", "the task returned what it may not; GetJob shows where"],
]);

export type ShownFailure = Pick<Failure, "reason" | "message" | "stack">;

/**
 * A failure as shown in logs, spans and alerts, not only to the job's client: without details and any part of an input
 * or output.
 */
export function shownFailure({ reason, message, stack }: Failure): ShownFailure {
  const instead = quoting.get(reason);
  if (instead !== undefined) return { reason, message: instead };
  return stack === undefined ? { reason, message } : { reason, message, stack };
}
