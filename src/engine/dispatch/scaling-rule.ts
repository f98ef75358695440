/** When a pool gets more workers, and when fewer: the rule, without clocks, pools and stores. */

export type ScalingRule = {
  /** A pool grows when more jobs than this wait for each of its workers. */
  readonly jobsPerWorker: number;
  /** It also grows when all its workers are busy and a job waits for longer than this. */
  readonly waitMs: number;
  /** A worker goes when it was not needed for so long, and nothing does so soon after growth. */
  readonly idleMs: number;
};

/** What the rule goes by. Times are durations; numbers of workers are of the target, so that starting ones count. */
export type PoolLoad = {
  readonly min: number;
  readonly max: number;
  readonly target: number;
  /** Jobs that one worker runs at once. */
  readonly concurrency: number;
  readonly isPaused: boolean;
  /** Its workers do not start: more of them would not either. */
  readonly isBroken: boolean;
  /** Jobs that are due and wait for a worker. */
  readonly ready: number;
  /** How long the oldest of them has waited. */
  readonly oldestMs: number;
  /** Every worker runs as many jobs as it may. */
  readonly isFull: boolean;
  /** Workers that were needed within `idleMs`: as many as have room for all that ran at once. */
  readonly needed: number;
  readonly sinceGrowthMs: number;
};

export type Decision = { readonly target: number; readonly why: string };

/**
 * The target that follows; undefined: the one there is. A worker pays when `jobsPerWorker` jobs wait for it, however many of
 * them it runs at once, and the pool never gets more workers than would run all that wait at once. It at most doubles in one
 * step, so that a burst that is over soon does not fill the memory with workers.
 */
export function decide(rule: ScalingRule, load: PoolLoad): Decision | undefined {
  const { min, max, target, isPaused, ready, needed } = load;
  if (target < min || target > max) return { target: target < min ? min : max, why: `the bounds are ${min} to ${max}` };
  if (isPaused)
    return target > min
      ? { target: min, why: "no job may start: the pool is paused, or the server drains" }
      : undefined;
  const more = growth(rule, load);
  if (more && more.target > target) return more;
  const isSettled = ready === 0 && load.sinceGrowthMs >= rule.idleMs;
  const least = Math.max(needed, min);
  if (!isSettled || least >= target) return undefined;
  return { target: least, why: `no more than ${needed} of ${workers(target)} were needed for ${seconds(rule.idleMs)}` };
}

function growth({ jobsPerWorker, waitMs }: ScalingRule, load: PoolLoad): Decision | undefined {
  const { max, target, concurrency, isBroken, ready, oldestMs, isFull, needed } = load;
  if (isBroken || target >= max) return undefined;
  if (target === 0) return ready + needed > 0 ? { target: 1, why: "a job came, and there was no worker" } : undefined;
  const enough = target + Math.ceil(ready / concurrency);
  const most = Math.min(2 * target, max, enough);
  if (ready > jobsPerWorker * target) {
    const each = `more than ${jobsPerWorker} jobs wait for ${target === 1 ? "the one worker" : `each of ${target} workers`}`;
    return { target: Math.min(Math.ceil(ready / jobsPerWorker), most), why: each };
  }
  if (!isFull || oldestMs <= waitMs) return undefined;
  const why = `${target === 1 ? "the one worker is" : `all ${target} workers are`} busy, and a job has waited for ${seconds(oldestMs)}`;
  return { target: Math.min(target + 1, most), why };
}

const workers = (count: number) => `${count} worker${count === 1 ? "" : "s"}`;
const seconds = (ms: number) => `${Math.round(ms / 100) / 10} s`;

/** Which workers were needed when: of the time before, all that the rule has to know. */
export type Need = {
  /** So many workers were needed at this time, which never goes back. */
  record(workers: number, nowMs: number): void;
  /** The most that were needed within the time that is remembered. */
  most(nowMs: number): number;
};

export function createNeed(rememberedMs: number): Need {
  /** When a pool last needed this many workers and one more; a smaller number was needed then, too. */
  const lastMs: number[] = [];
  return {
    record(workers, nowMs) {
      for (let worker = 0; worker < workers; worker += 1) lastMs[worker] = nowMs;
    },
    most(nowMs) {
      while (lastMs.length > 0 && nowMs - lastMs.at(-1)! >= rememberedMs) lastMs.pop();
      return lastMs.length;
    },
  };
}
