/** Forwards the health reports of resources when they change: a resource may report with every job. */
import type { Clock } from "../../clock.ts";
import { textOf } from "../sanitize.ts";
import { maxParts, maxProblemChars } from "./health-board.ts";
import type { FromThread, PartReport } from "./protocol.ts";

export type ThreadReports = {
  add(resource: string, part: unknown, problem: unknown): void;
  /** A report of any thread. */
  receive(report: PartReport): void;
  /** Whether the part is healthy by its latest report. */
  isWell(resource: string, part: string): boolean;
};

/** How often a known problem is reported again: its text may have changed. */
const againMs = 1_000;
const maxPartChars = 100;

export function createThreadReports(clock: Clock, send: (message: FromThread) => void): ThreadReports {
  /** By resource and part: when its problem was last reported (monotonic clock); null: it is healthy. */
  const known = new Map<string, Map<string, number | null>>();

  function partsOf(resource: string): Map<string, number | null> {
    const parts = known.get(resource) ?? new Map<string, number | null>();
    known.set(resource, parts);
    return parts;
  }

  return {
    add(resource, givenPart, givenProblem) {
      const part = textOf(givenPart, maxPartChars);
      const problem = givenProblem === undefined ? undefined : textOf(givenProblem, maxProblemChars);
      const parts = partsOf(resource);
      const reportedMs = parts.get(part);
      const nowMs = clock.monotonicMs();
      if (
        reportedMs === null
          ? problem === undefined
          : problem !== undefined && reportedMs !== undefined && nowMs - reportedMs < againMs
      )
        return;
      if (reportedMs === undefined && parts.size > maxParts) return; // the server has the same bound
      parts.set(part, problem === undefined ? null : nowMs);
      send({ kind: "report", resource, part, problem });
    },
    receive: ({ resource, part, problem }) =>
      void partsOf(resource).set(part, problem === undefined ? null : clock.monotonicMs()),
    isWell: (resource, part) => known.get(resource)?.get(part) === null,
  };
}
