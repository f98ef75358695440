import type { History } from "../history/history.ts";

/** One breach, in words, with the job or channel it is about. */
export type Violation = {
  readonly invariant: string;
  readonly text: string;
  readonly job?: string;
  readonly channel?: string;
};

/** `checked`: how many things the invariant was asked of; an invariant that looked at nothing proves nothing. */
export type Finding = { readonly checked: number; readonly violations: readonly Violation[] };

/** What the checker is told about the run besides its events. */
export type Settings = {
  readonly leaseMs: number;
  /** Another takes what ran out: an attempt whose lease is lost may still begin, and its fence refuses what comes of it. */
  readonly isShared?: boolean;
};

export type Invariant = {
  /** As in the list of invariants: `I1`. */
  readonly name: string;
  readonly says: string;
  check(history: History, settings: Settings): Finding;
};

/** Makes the finding: `say` is called for each breach. */
export function finding(
  invariant: string,
  look: (say: (text: string, about?: { readonly job?: string; readonly channel?: string }) => void) => number,
): Finding {
  const violations: Violation[] = [];
  const checked = look((text, about = {}) => void violations.push({ invariant, text, ...about }));
  return { checked, violations };
}
