/** Judges a run by its events alone: a list of them, wherever they come from. It knows nothing of a server. */
import type { Event } from "./history/event.ts";
import { type History, toHistory } from "./history/history.ts";
import { attemptsCounted, notTooEarly, oneAtATime } from "./invariants/attempts.ts";
import { cancelledStays } from "./invariants/cancel.ts";
import { allDelivered, noGaps } from "./invariants/channels.ts";
import { deadLettersTell, queueEmpties, storeIsWhole } from "./invariants/end.ts";
import type { Invariant, Violation } from "./invariants/invariant.ts";
import { endsOnce, notInvented, oneJobPerKey, oneResult, refusedNeverRuns, rightOutput } from "./invariants/jobs.ts";

export const invariants: readonly Invariant[] = [
  ...[endsOnce, notInvented, refusedNeverRuns, oneJobPerKey, rightOutput, oneResult],
  ...[attemptsCounted, oneAtATime, noGaps, allDelivered, cancelledStays, notTooEarly],
  ...[queueEmpties, storeIsWhole, deadLettersTell],
];

export type CheckOptions = {
  /** How long the server leases a job; from then on attempts may overlap. */
  readonly leaseMs: number;
  /** Whether another takes what ran out. Default: the server alone has the store. */
  readonly isShared?: boolean;
  /** How many things each named invariant must have looked at: `{I1: 1000}`. Fewer is a violation. */
  readonly atLeast: { readonly [invariant: string]: number };
  /** Invariants that cannot hold under the faults of this run, each with the reason. */
  readonly except?: { readonly [invariant: string]: string };
};

export type Verdict = {
  /** What each invariant looked at. */
  readonly checked: { readonly [invariant: string]: number };
  readonly violationCount: number;
  /** The first hundred of each invariant. */
  readonly violations: readonly Violation[];
  readonly counts: Counts;
  /** The first violation with all that is known of its job or channel. */
  readonly firstCounterExample: { readonly violation: Violation; readonly events: readonly Event[] } | null;
};

export type Counts = {
  readonly [name in "events" | "submitted" | "accepted" | "refused" | "results" | "executions" | "acks"]: number;
};

const shownViolations = 100;
const shownEvents = 60;

/** Checks events in the order of their times. */
export function check(
  events: readonly Event[],
  { leaseMs, isShared = false, atLeast, except = {} }: CheckOptions,
): Verdict {
  const history = toHistory(events);
  const checked: { [invariant: string]: number } = {};
  const violations: Violation[] = [];
  let violationCount = 0;
  const add = (found: readonly Violation[]) => {
    violationCount += found.length;
    violations.push(...found.slice(0, shownViolations));
  };
  for (const invariant of invariants) {
    if (Object.hasOwn(except, invariant.name)) continue;
    const found = invariant.check(history, { leaseMs, isShared });
    checked[invariant.name] = found.checked;
    add(found.violations);
  }
  for (const [name, least] of Object.entries(atLeast)) {
    const seen = checked[name] ?? 0;
    if (seen < least)
      add([{ invariant: name, text: `looked at ${seen} things, and fewer than ${least} prove nothing` }]);
  }
  const [violation] = violations;
  const counts = countsOf(history);
  const firstCounterExample = violation ? { violation, events: eventsOf(events, violation) } : null;
  return { checked, violationCount, violations, counts, firstCounterExample };
}

/** A verdict with one thing more that was wrong, found by the fault itself. */
export function withBreach(verdict: Verdict, violation: Violation): Verdict {
  return {
    ...verdict,
    violationCount: verdict.violationCount + 1,
    violations: [...verdict.violations, violation],
    firstCounterExample: verdict.firstCounterExample ?? { violation, events: [] },
  };
}

function countsOf({ events, jobs }: History): Counts {
  const counts = { events: events.length, submitted: 0, accepted: 0, refused: 0, results: 0, executions: 0, acks: 0 };
  for (const { intent, accepted, refusals, results, runs } of jobs.values()) {
    if (intent) counts.submitted += 1;
    if (accepted.length > 0) counts.accepted += 1;
    else if (refusals.length > 0) counts.refused += 1;
    if (results.length > 0) counts.results += 1;
    counts.executions += runs.length;
  }
  for (const { kind } of events) if (kind === "acked") counts.acks += 1;
  return counts;
}

/** What belongs to a violation, with the server's own ups and downs, so that it can be read like a story. */
function eventsOf(events: readonly Event[], { job, channel }: Violation): Event[] {
  if (job === undefined && channel === undefined) return [];
  const runs = new Set<string>();
  const shown: Event[] = [];
  for (const event of events) {
    if (event.kind === "began" && event.id === job) runs.add(event.run);
    if (isAbout(event, job, channel, runs)) shown.push(event);
  }
  return shown.length <= shownEvents ? shown : shown.slice(-shownEvents);
}

function isAbout(event: Event, job: string | undefined, channel: string | undefined, runs: Set<string>): boolean {
  if (event.kind === "serving" || event.kind === "ended" || event.kind === "fault") return true;
  if (event.kind === "finished" || event.kind === "murders") return runs.has(event.run);
  if (event.kind === "submit") return event.job.id === job;
  if ("id" in event && job !== undefined) return event.id === job;
  return "channel" in event && `${event.client}/${event.channel}` === channel;
}
