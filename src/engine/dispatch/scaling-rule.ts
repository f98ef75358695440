/** The rule for when a pool gets more or fewer workers. Pure. */

export type ScalingRule = {
  /** A pool grows when more jobs than this wait for each of its workers. */
  readonly jobsPerWorker: number;
  /** It also grows when all its workers are busy and a job has waited for longer than this. */
  readonly waitMs: number;
  /** A worker ends when it was not needed for this long, and none ends sooner than that after growth. */
  readonly idleMs: number;
};

/**
 * The state of a pool on which the rule decides. Times are durations. The number of workers is the target, which
 * includes starting ones.
 */
export type PoolLoad = {
  readonly min: number;
  readonly max: number;
  readonly target: number;
  /** Jobs that one worker runs at once. */
  readonly concurrency: number;
  /** Why the pool starts no jobs, for example because it is paused; undefined: it starts them. */
  readonly stopped: string | undefined;
  /** Whether more workers would not start more jobs, for example because threads fail to start. */
  readonly isBlocked: boolean;
  /** Number of due jobs that wait for a worker. */
  readonly eligible: number;
  /** How long the oldest of them has waited. */
  readonly oldestMs: number;
  /** Whether every worker runs as many jobs as it may. */
  readonly isFull: boolean;
  /** Peak number of workers that were needed to run all jobs within the last `idleMs`. */
  readonly needed: number;
  readonly sinceGrowthMs: number;
};

export type Decision = { readonly target: number; readonly why: string };

/**
 * The next target; undefined: it stays. A worker is worth its start when `jobsPerWorker` jobs wait for it, however many
 * of them it runs at once. The pool never gets more workers than would run all waiting jobs at once. The target at most
 * doubles per step, so that a short burst does not fill the memory with workers.
 */
export function decide(rule: ScalingRule, load: PoolLoad): Decision | undefined {
  const { min, max, target, stopped, eligible, needed } = load;
  if (target < min || target > max) return { target: target < min ? min : max, why: `the bounds are ${min} to ${max}` };
  if (stopped !== undefined) return target > min ? { target: min, why: stopped } : undefined;
  const more = growth(rule, load);
  if (more && more.target > target) return more;
  const isSettled = eligible === 0 && load.sinceGrowthMs >= rule.idleMs;
  const enough = Math.max(needed, min);
  if (!isSettled || enough >= target) return undefined;
  const why = `${shareNeeded(needed, target)} needed for ${seconds(rule.idleMs)}`;
  return { target: enough, why };
}

function growth({ jobsPerWorker, waitMs }: ScalingRule, load: PoolLoad): Decision | undefined {
  const { max, target, concurrency, isBlocked, eligible, oldestMs, isFull, needed } = load;
  if (isBlocked || target >= max) return undefined;
  if (target === 0) return eligible + needed > 0 ? { target: 1, why: "a job came, and the target was 0" } : undefined;
  const enough = target + Math.ceil(eligible / concurrency);
  const bound = Math.min(2 * target, max, enough);
  if (eligible > jobsPerWorker * target) {
    const each = `more than ${jobsPerWorker} jobs wait for ${target === 1 ? "the worker" : `each of ${target} workers`}`;
    return { target: Math.min(Math.ceil(eligible / jobsPerWorker), bound), why: each };
  }
  if (!isFull || oldestMs <= waitMs) return undefined;
  const busy = target === 1 ? "the worker is busy" : `all ${target} workers are busy`;
  const why = `${busy}, and a job has waited for ${seconds(oldestMs)}`;
  return { target: Math.min(target + 1, bound), why };
}

const seconds = (ms: number) => `${Math.round(ms / 100) / 10} s`;

function shareNeeded(needed: number, workers: number): string {
  if (needed === 0) return workers === 1 ? "the worker was not" : `none of ${workers} workers was`;
  return `no more than ${needed} of ${workers} workers ${needed === 1 ? "was" : "were"}`;
}

/** The peak of a number over a sliding window of time. */
export type Peak = {
  /** Records the number at this time. Times must not decrease. */
  record(value: number, nowMs: number): void;
  /** The highest number within the window. */
  value(nowMs: number): number;
  clear(): void;
};

export function createPeak(windowMs: number): Peak {
  /** At index n: when the number was last above n. */
  const lastMs: number[] = [];
  return {
    record(value, nowMs) {
      lastMs.fill(nowMs, 0, value);
      while (lastMs.length < value) lastMs.push(nowMs);
    },
    value(nowMs) {
      while (lastMs.length > 0 && nowMs - lastMs.at(-1)! >= windowMs) lastMs.pop();
      return lastMs.length;
    },
    clear() {
      lastMs.length = 0;
    },
  };
}
