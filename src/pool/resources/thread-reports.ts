/** Passes on what the code of resources reports of their health, when it has changed: it may report with every job. */
import type { Clock } from "../../clock.ts";
import { textOf } from "../sanitize.ts";
import { maxParts, maxProblemChars } from "./health-board.ts";
import type { FromThread, PartReport } from "./protocol.ts";

export type ThreadReports = {
  add(resource: string, part: unknown, problem: unknown): void;
  /** What some thread has reported. */
  receive(report: PartReport): void;
  /** Whether the part is well by its latest report. */
  isWell(resource: string, part: string): boolean;
};

/** How often a known problem is reported again: its text may have changed. */
const againMs = 1_000;
const maxPartChars = 100;

export function createThreadReports(clock: Clock, send: (message: FromThread) => void): ThreadReports {
  /** By resource and part: when its problem was last reported, by the monotonic clock; null: it is well. */
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
      const saidMs = parts.get(part);
      const nowMs = clock.monotonicMs();
      if (
        saidMs === null
          ? problem === undefined
          : problem !== undefined && saidMs !== undefined && nowMs - saidMs < againMs
      )
        return;
      if (saidMs === undefined && parts.size > maxParts) return; // the server keeps no more either
      parts.set(part, problem === undefined ? null : nowMs);
      send({ kind: "report", resource, part, problem });
    },
    receive: ({ resource, part, problem }) =>
      void partsOf(resource).set(part, problem === undefined ? null : clock.monotonicMs()),
    isWell: (resource, part) => known.get(resource)?.get(part) === null,
  };
}
