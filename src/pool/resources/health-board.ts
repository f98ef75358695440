/** Which parts of resources are away, by the latest report of any thread. */
import { cut } from "../plain.ts";
import type { PartReport, PoolResource } from "./words.ts";

export type PartHealth = PartReport & {
  /** When it became what it is, well or not, in milliseconds since 1970. */
  readonly sinceAt: number;
};

export type HealthBoard = {
  /** There are these resources from now on; what is known of those that stay stays. */
  replace(resources: readonly Pick<PoolResource, "name">[]): void;
  /** `new`: a part that nobody knew is well. `same`: nothing of note; a problem in other words is the same one. */
  set(report: PartReport): "new" | "away" | "back" | "same";
  /** Resources in their order, their parts by name; the empty part, which every resource has, first. */
  parts(): readonly PartHealth[];
};

/** Parts of a resource beyond so many are not kept. */
export const maxParts = 100;
export const maxProblemChars = 500;

export function createHealthBoard(now: () => number): HealthBoard {
  let known = new Map<string, Map<string, PartHealth>>();
  const well = (resource: string): PartHealth => ({ resource, part: "", problem: undefined, sinceAt: now() });

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
      parts.set(part, { resource, part, problem, sinceAt: isChanged ? now() : before.sinceAt });
      if (!isChanged) return "same";
      if (problem !== undefined) return "away";
      return before ? "back" : "new";
    },
    parts: () =>
      [...known.values()].flatMap((parts) => [...parts.values()].toSorted((a, b) => (a.part < b.part ? -1 : 1))),
  };
}
