/** How often a job is tried, and the delays in between. */
export type RetryPolicy = {
  /** Total number of attempts, 1..100. */
  readonly maxAttempts: number;
  /** Delay before the second attempt, in milliseconds. */
  readonly baseMs: number;
  /** Factor of the delay from one attempt to the next, at least 1. */
  readonly factor: number;
  /** Longest delay, in milliseconds. */
  readonly maxBackoffMs: number;
  /**
   * `full`: each delay is uniformly distributed from 0 to the exponential value, so that jobs that failed together do
   * not retry together (https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/). `none`: exactly
   * that value.
   */
  readonly jitter: "full" | "none";
};

export const defaultRetryPolicy: RetryPolicy = {
  maxAttempts: 4,
  baseMs: 100,
  factor: 2,
  maxBackoffMs: 5_000,
  jitter: "full",
};

/**
 * Milliseconds to wait after attempt number `attempt` (from 1) failed: base, base·factor, base·factor² ... up to the
 * policy's cap, then jittered. `random` is in [0, 1).
 */
export function backoffMs(policy: RetryPolicy, attempt: number, random: () => number): number {
  const grown = Math.min(policy.factor ** (attempt - 1), Number.MAX_VALUE); // 0 times Infinity would be NaN
  const exponential = Math.min(policy.maxBackoffMs, policy.baseMs * grown);
  return Math.round(policy.jitter === "full" ? exponential * random() : exponential);
}
