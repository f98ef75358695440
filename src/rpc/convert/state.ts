/** Converts states, reasons and outcomes between the protocol's enums and their names. */
import { invalid } from "../../errors.ts";
import {
  AttemptOutcome as WireOutcome,
  DeadReason as WireReason,
  JobState as WireState,
} from "../../gen/millpond/v1/job_pb.ts";
import type { DeadReason, JobState, Outcome } from "../../job/job.ts";

export const fromState = (state: JobState): WireState => WireState[state];
export const fromDeadReason = (reason: DeadReason | null): WireReason =>
  reason === null ? WireReason.UNSPECIFIED : toWire(WireReason, reason);
/** A released attempt has no entry in a job's history. */
export const fromOutcome = (outcome: Outcome["kind"]): WireOutcome =>
  outcome === "released" ? WireOutcome.UNSPECIFIED : toWire(WireOutcome, outcome);

/** Null when unspecified; refused when there is no such state. */
export function toState(state: WireState): JobState | null {
  const name = fromWire(WireState, state, "state", "a state");
  return name && (name.toUpperCase() as JobState);
}

/** Null when unspecified; refused, as `field`, when there is no such reason. */
export function toDeadReason(reason: WireReason, field: string): DeadReason | null {
  return fromWire(WireReason, reason, field, "a reason");
}

/** The number of a name in an enum, whose names are in capitals. */
export function toWire<N extends string, W extends { readonly [K in Uppercase<N>]: number }>(
  numbers: W,
  name: N,
): W[Uppercase<N>] {
  return numbers[name.toUpperCase() as Uppercase<N>];
}

/** The name of an enum's number: null when unspecified; refused, as `field`, when there is no such number. */
export function fromWire<E extends { readonly [name: string]: number }>(
  numbers: E,
  number: number,
  field: string,
  what: string,
): Lowercase<Exclude<keyof E & string, "UNSPECIFIED">> | null {
  if (number === 0) return null;
  const names = Object.keys(numbers) as Exclude<keyof E & string, "UNSPECIFIED">[];
  const found = names.find((name) => numbers[name] === number);
  if (found) return found.toLowerCase() as Lowercase<typeof found>;
  throw invalid([{ field, description: `${number} is not ${what}: there are 1 to ${names.length - 1}` }]);
}
