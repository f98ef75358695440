/** Which parts of resources are away, by the latest report of any thread. */
import type { Clock } from "../../clock.ts";
import { cut } from "../sanitize.ts";
import type { PartReport, PoolResource } from "./protocol.ts";

export type PartHealth = PartReport & {
  /** How long it has been as it is, well or not. */
  readonly ageMs: number;
};

export type HealthBoard = {
  /** There are these resources from now on; what is known of those that stay stays. */
  replace(resources: readonly Pick<PoolResource, "name">[]): void;
  /** `new`: a part that was not known is well. `same`: nothing of note; a problem with another text is the same one. */
  set(report: PartReport): "new" | "away" | "back" | "same";
  /** The resource is as well as at the start; false: it was well. */
  forget(resource: string): boolean;
  /** Whether a part of the resource is away. */
  hasProblem(resource: string): boolean;
  /** Resources in their order, their parts by name; the empty part, which every resource has, first. */
  parts(): readonly PartHealth[];
};

/** Most parts of a resource that are kept; further ones are ignored. */
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
      if (problem !== undefined) return "away";
      return before ? "back" : "new";
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
