/** The words of the protocol for states, reasons and outcomes. */
import { invalid } from "../../errors.ts";
import {
  AttemptOutcome as WireOutcome,
  DeadReason as WireReason,
  JobState as WireState,
} from "../../gen/millpond/v1/job_pb.ts";
import type { DeadReason, JobState, Outcome } from "../../job/job.ts";

const wireStates: Readonly<Record<JobState, WireState>> = {
  QUEUED: WireState.QUEUED,
  RUNNING: WireState.RUNNING,
  SUCCEEDED: WireState.SUCCEEDED,
  DEAD: WireState.DEAD,
  CANCELLED: WireState.CANCELLED,
};

const wireReasons: Readonly<Record<DeadReason, WireReason>> = {
  exhausted: WireReason.EXHAUSTED,
  permanent: WireReason.PERMANENT,
  expired: WireReason.EXPIRED,
  poison: WireReason.POISON,
};

const wireOutcomes: Readonly<Record<Outcome["kind"], WireOutcome>> = {
  succeeded: WireOutcome.SUCCEEDED,
  failed: WireOutcome.FAILED,
  timed_out: WireOutcome.TIMED_OUT,
  cancelled: WireOutcome.CANCELLED,
  lost: WireOutcome.LOST,
  expired: WireOutcome.EXPIRED,
  released: WireOutcome.UNSPECIFIED, // leaves no line in a job's history
};

export const fromState = (state: JobState): WireState => wireStates[state];
export const fromDeadReason = (reason: DeadReason | null): WireReason =>
  reason === null ? WireReason.UNSPECIFIED : wireReasons[reason];
export const fromOutcome = (outcome: Outcome["kind"]): WireOutcome => wireOutcomes[outcome];

/** Null when unspecified; refused when there is no such state. */
export function toState(state: WireState): JobState | null {
  return fromWire(wireStates, state, "state", "a state");
}

/** Null when unspecified; refused, as `field`, when there is no such reason. */
export function toDeadReason(reason: WireReason, field: string): DeadReason | null {
  return fromWire(wireReasons, reason, field, "a reason");
}

/** The word of an enum's number: null when unspecified; refused, as `field`, when there is no such number. */
export function fromWire<K extends string>(
  words: Readonly<Record<K, number>>,
  given: number,
  field: string,
  what: string,
): K | null {
  if (given === 0) return null;
  const names = Object.keys(words) as K[];
  const found = names.find((name) => words[name] === given);
  if (found) return found;
  throw invalid([{ field, description: `${given} is not ${what}: there are 1 to ${names.length}` }]);
}
