/** What the code of resources says of their health: passed on when it is news, for it may say so with every job. */
import type { Clock } from "../../clock.ts";
import { textOf } from "../plain.ts";
import { maxProblemChars } from "./health-board.ts";
import type { FromThread, PartReport } from "./words.ts";

export type ThreadReports = {
  add(resource: string, part: unknown, problem: unknown): void;
  /** What some thread has reported. */
  hear(report: PartReport): void;
};

/** How often a problem is said that is known: its words may have changed. */
const againMs = 1_000;
const maxPartChars = 100;

export function createThreadReports(clock: Clock, tell: (word: FromThread) => void): ThreadReports {
  /** By resource and part: when its problem was last said, by the monotonic clock; null: it is well. */
  const known = new Map<string, number | null>();

  return {
    add(resource, givenPart, givenProblem) {
      const part = textOf(givenPart, maxPartChars);
      const problem = givenProblem === undefined ? undefined : textOf(givenProblem, maxProblemChars);
      const key = keyOf(resource, part);
      const saidMs = known.get(key);
      const nowMs = clock.monotonicMs();
      if (
        saidMs === null
          ? problem === undefined
          : problem !== undefined && saidMs !== undefined && nowMs - saidMs < againMs
      )
        return;
      known.set(key, problem === undefined ? null : nowMs);
      tell({ kind: "report", resource, part, problem });
    },
    hear: ({ resource, part, problem }) =>
      void known.set(keyOf(resource, part), problem === undefined ? null : clock.monotonicMs()),
  };
}

function keyOf(resource: string, part: string): string {
  return `${resource} ${part}`;
}
