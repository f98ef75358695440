/** The health of resources' parts, by the latest report of any thread. */
import type { Clock } from "../../clock.ts";
import { cut } from "../sanitize.ts";
import type { PartReport, PoolResource } from "./protocol.ts";

export type PartHealth = PartReport & {
  /** How long the part has been in this state. */
  readonly ageMs: number;
};

export type HealthBoard = {
  /** Sets the resources; the health of those that remain is kept. */
  replace(resources: readonly Pick<PoolResource, "name">[]): void;
  /**
   * Returns the change. `new`: an unknown part is healthy. `same`: no change; a problem with another text counts as the
   * same.
   */
  set(report: PartReport): "new" | "problem" | "recovered" | "same";
  /** Resets the resource to its initial state; false: it had no problem. */
  forget(resource: string): boolean;
  /** Whether a part of the resource has a problem. */
  hasProblem(resource: string): boolean;
  /** All parts: resources in order, their parts by name, with the empty part, which every resource has, first. */
  parts(): readonly PartHealth[];
};

/** Bound on the parts of a resource; further ones are ignored. */
export const maxParts = 100;
export const maxProblemChars = 500;

type Part = PartReport & { readonly sinceMs: number };

export function createHealthBoard(clock: Clock): HealthBoard {
  const nowMs = clock.monotonicMs;
  let known = new Map<string, Map<string, Part>>();
  const well = (resource: string): Part => ({ resource, part: "", problem: undefined, sinceMs: nowMs() });

  const hasProblem = (resource: string) =>
    [...(known.get(resource)?.values() ?? [])].some(({ problem }) => problem !== undefined);

  return {
    replace(resources) {
      known = new Map(resources.map(({ name }) => [name, known.get(name) ?? new Map([["", well(name)]])]));
    },
    set({ resource, part, problem: given }) {
      const parts = known.get(resource);
      const before = parts?.get(part);
      if (!parts || (!before && parts.size > maxParts)) return "same";
      const problem = given === undefined ? undefined : cut(given, maxProblemChars);
      const isChanged = !before || (before.problem === undefined) !== (problem === undefined);
      parts.set(part, { resource, part, problem, sinceMs: isChanged ? nowMs() : before.sinceMs });
      if (!isChanged) return "same";
      if (problem !== undefined) return "problem";
      return before ? "recovered" : "new";
    },
    forget(resource) {
      if (!hasProblem(resource)) return false;
      known.set(resource, new Map([["", well(resource)]]));
      return true;
    },
    hasProblem,
    parts: () =>
      [...known.values()].flatMap((parts) =>
        [...parts.values()]
          .toSorted((a, b) => (a.part < b.part ? -1 : 1))
          .map(({ sinceMs, ...part }) => ({ ...part, ageMs: nowMs() - sinceMs })),
      ),
  };
}
