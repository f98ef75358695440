/** Which of the nemesis's invariants each promise of docs/guarantees.md stands on, and how often they were asked. */
import type { FaultRun } from "./figures.ts";
import { bound, number, table } from "./render.ts";

/**
 * Promises 6 and 8 have none: the one promises nothing, the other is measured by N4 and N9. N11 judges for itself: it asks
 * the invariants of each damaged store, and whether somebody was told.
 */
export const promises: readonly { readonly title: string; readonly invariants: readonly string[] }[] = [
  { title: "1. Accepted means durable", invariants: ["I1", "I19"] },
  { title: "2. At least once, bounded", invariants: ["I7", "I8", "I14"] },
  { title: "3. One final state, one result", invariants: ["I5", "I6"] },
  { title: "4. Submitting twice is submitting once", invariants: ["I4"] },
  { title: "5. Results come until they are acknowledged", invariants: ["I9", "I10"] },
  { title: "7. Clients are isolated", invariants: ["I2"] },
  { title: "9. No silent corruption", invariants: ["N11"] },
  { title: "10. Cancelled means not tried again", invariants: ["I13"] },
];

export function renderPromises(runs: readonly FaultRun[]): string {
  const faults = runs.flatMap((run) => run.faults).filter((fault) => "checked" in fault);
  const breaches = runs.flatMap(({ violations }) => violations);
  const lines = promises.map(({ title, invariants }) => {
    const askedIn = new Set<string>();
    let times = 0;
    for (const { row, checked } of faults) {
      const asked = invariants.reduce((sum, name) => sum + (checked[name] ?? 0), 0);
      if (asked > 0) askedIn.add(row);
      times += asked;
    }
    const found = breaches.filter(({ invariant }) => invariants.includes(invariant)).length;
    const rows = [...askedIn].toSorted((one, other) => Number(one.slice(1)) - Number(other.slice(1)));
    const least = found > 0 || times === 0 ? "none" : bound(times);
    return [title, invariants.join(", "), rows.join(", "), number(times), String(found), least];
  });
  return table(["Promise", "Invariants", "Asked in", "Times", "Breaches", "Bound"], lines);
}
