/** The flags for a job's options besides its task and its input. */
import type { JobOptions, TraceContext } from "../../../clients/typescript/index.ts";
import { type Flag, type FlagValues, integerOf, type Invocation, isOn, flagText, UsageError } from "../command.ts";
import { labelFlag, labelsOf } from "../labels.ts";
import { durationOf, momentAheadOf, momentOf } from "../times.ts";

export const jobFlags: readonly Flag[] = [
  { usage: "--channel <name>", doc: "where the result goes (default: default)" },
  { usage: "--id <uuid>", doc: "the job's id, so that a repeated submit is the same job (default: a new id)" },
  { usage: "--key <text>", doc: "an idempotency key: for 24 h, submits with the same key are the same job" },
  { usage: "--priority <number>", doc: "-100 to 100; of two due jobs the higher one starts first (default: 0)" },
  { usage: "--at <time>", doc: "start at this time or later, such as 2026-01-31T23:59" },
  { usage: "--delay <duration>", doc: "start after this delay, such as 5m" },
  { usage: "--expires <time>", doc: "the job's deadline: a time, or a duration from now" },
  { usage: "--timeout <duration>", doc: "bound on one attempt (default: the task's)" },
  { usage: "--max-attempts <count>", doc: "total number of attempts, 1 to 100 (default: the task's)" },
  labelFlag,
  { usage: "--discard", doc: "fire and forget: the result goes to no channel" },
];

/** Part of the notes of a command. */
export const traceNote = "The environment variables TRACEPARENT, TRACESTATE and BAGGAGE set the trace of the job.";

/** The options from the flags and the environment. Throws a UsageError that names the value and the bound. */
export function jobOptionsOf(flags: FlagValues, env: Invocation["env"]): JobOptions {
  const runAt = momentOf(flags, "--at");
  const delayMs = durationOf(flags, "--delay", { min: "0s", max: "365d" });
  if (runAt !== undefined && delayMs !== undefined)
    throw new UsageError("--at and --delay are both given: keep one of them");
  for (const flag of ["--channel", "--id", "--key"]) {
    // usually an unset shell variable; a key must not be dropped silently
    if (flagText(flags, flag) === "") throw new UsageError(`${flag} is empty: give it a value, or leave it out`);
  }
  const maxAttempts = integerOf(flags, "--max-attempts", { min: 1, max: 100, fallback: undefined });
  return {
    channel: flagText(flags, "--channel"),
    id: flagText(flags, "--id"),
    idempotencyKey: flagText(flags, "--key"),
    priority: integerOf(flags, "--priority", { min: -100, max: 100, fallback: undefined }),
    runAt,
    delayMs,
    expiresAt: momentAheadOf(flags, "--expires"),
    timeoutMs: durationOf(flags, "--timeout", { min: "1ms", max: "7d" }),
    retry: maxAttempts === undefined ? undefined : { maxAttempts },
    labels: labelsOf(flags),
    discardResult: isOn(flags, "--discard"),
    trace: traceIn(env),
  };
}

/**
 * The trace context that a traced program passes to a command in its environment. The server ignores malformed values.
 * https://opentelemetry.io/docs/specs/otel/context/env-carriers/
 */
function traceIn({ TRACEPARENT = "", TRACESTATE = "", BAGGAGE = "" }: Invocation["env"]): TraceContext | undefined {
  if (TRACEPARENT === "" && BAGGAGE === "") return undefined;
  return { traceparent: TRACEPARENT, tracestate: TRACESTATE, baggage: BAGGAGE };
}
