/** Converts states, reasons and outcomes between the protocol's enums and their names. */
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
  released: WireOutcome.UNSPECIFIED, // has no entry in a job's history
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

/** The name of an enum's number: null when unspecified; refused, as `field`, when there is no such number. */
export function fromWire<K extends string>(
  numbers: Readonly<Record<K, number>>,
  number: number,
  field: string,
  what: string,
): K | null {
  if (number === 0) return null;
  const names = Object.keys(numbers) as K[];
  const found = names.find((name) => numbers[name] === number);
  if (found) return found;
  throw invalid([{ field, description: `${number} is not ${what}: there are 1 to ${names.length}` }]);
}
