/** What the checks of a draft share: the longest delay, and how a message shows times. */

/** A year: the furthest ahead that a job or a retry may be put off. */
export const maxDelayMs = 365 * 24 * 3_600_000;

/** What JavaScript can show as a date. */
const lastTime = 8.64e15;

export function shownTime(at: number): string {
  return Math.abs(at) <= lastTime ? new Date(at).toISOString() : "no time";
}

export function shownDuration(ms: number): string {
  return Number.isFinite(ms) ? `${ms} ms` : "no duration";
}
