const baseMs = 100;
const capMs = 5_000;

/**
 * Milliseconds to wait before try number `attempt` (from 0) is repeated: anywhere between 0 and 100, 200, 400 ... at
 * most 5000, so that clients that failed together do not come back together
 * (https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/). `random` is in [0, 1).
 */
export function backoffMs(attempt: number, random: () => number): number {
  return Math.round(random() * Math.min(capMs, baseMs * 2 ** attempt));
}
