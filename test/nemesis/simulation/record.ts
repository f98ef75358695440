/** What a simulation writes down: events for the checker of the nemesis, and what its own checks looked at and found. */
import type { Event } from "../history/event.ts";
import type { Violation } from "../invariants/invariant.ts";
import type { World } from "./world.ts";

type Untimed<E> = E extends Event ? Omit<E, "at"> : never;

export type Record = {
  readonly events: Event[];
  readonly breaches: Violation[];
  /** How often each thing was looked at or happened, by name. */
  readonly counts: Map<string, number>;
  /** Delays with full jitter, as shares of their bound. */
  readonly draws: number[];
  write(event: Untimed<Event>): void;
  /** Looks at one thing; what does not hold is a breach. */
  check(invariant: string, holds: boolean, text: () => string, job?: string): void;
  count(name: string): void;
};

export function createRecord(world: World): Record {
  const events: Event[] = [];
  const breaches: Violation[] = [];
  const counts = new Map<string, number>();
  const count = (name: string) => void counts.set(name, (counts.get(name) ?? 0) + 1);
  return {
    ...{ events, breaches, counts, draws: [], count },
    write(event) {
      events.push({ at: world.stamp(), ...event });
    },
    check(invariant, holds, text, job) {
      count(invariant);
      if (!holds) breaches.push({ invariant, text: text(), ...(job !== undefined && { job }) });
    },
  };
}
