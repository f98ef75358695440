/** How many jobs to lease beyond the running ones, so that a free worker need not wait for a lease and its commit. */
export type Prefetch = {
  /**
   * The number of jobs to prefetch: as many as the workers run until more can arrive. 0 until a job was recorded, and
   * while jobs take 100 ms or more on average. Otherwise at least `chunk`, the size of a chunk, and at most the larger
   * of `chunk` and what keeps each worker busy for 100 ms; never more than the bound, see `recordLease`.
   */
  jobs(chunk: number): number;
  /** Records how long a job took. */
  recordJob(tookMs: number): void;
  /**
   * Records a lease that brought jobs, with the times of the call and its answer (monotonic clock). The bound starts at
   * `first`, and doubles with the first lease after each quarter of a second, up to `max`. `isRisky`: the bound is
   * `first` again, because with one of these jobs only a few others should be held, in case the process dies.
   */
  recordLease(askedMs: number, nowMs: number, isRisky: boolean): void;
};

export type PrefetchBounds = { readonly first: number; readonly max: number };

/** Prefetching more work than this gains nothing, and another server may have a free worker for it. */
const mostMs = 100;
/**
 * Weights of the latest value in an average. That of jobs is low, so that a rare slow one only counts for its share.
 */
const shares = { job: 0.01, lease: 0.1 };
/** Pause between two doublings of the bound. A retry arrives before the bound is large. */
const growMs = 250;
/** Shorter times count as this, so that none is divided by 0. */
const leastMs = 0.001;

/**
 * Jobs that become missing are requested when the pending lease is answered, and arrive with the next one: prefetched
 * jobs must last for two round trips. By Little's law a worker runs `time / mean(job)` jobs in that time. If a few are
 * slow, that is too few: between two slow ones a worker runs far more. One that starts a job runs at least `time /
 * mean(min(job, time)) - 1` others in that time (Wald's equation).
 */
export function createPrefetch(places: () => number, { first, max }: PrefetchBounds): Prefetch {
  const lease = createMean(shares.lease);
  const job = createMean(shares.job);
  /** The mean of jobs, each cut to the time that prefetched jobs must last. */
  const cutJob = createMean(shares.job);
  let bound = Math.min(first, max);
  let grewMs: number | undefined;
  const lastsMs = () => Math.max(2 * lease.value(), leastMs);

  return {
    jobs(chunk) {
      if (job.value() >= mostMs) return 0;
      const each = Math.max(lastsMs() / job.value(), lastsMs() / cutJob.value() - 1);
      const most = mostMs / job.value();
      return Math.min(Math.max(Math.floor(places() * Math.min(each, most)), chunk), bound);
    },
    recordJob(measuredMs) {
      const tookMs = Math.max(measuredMs, leastMs);
      job.add(tookMs);
      cutJob.add(Math.min(tookMs, lastsMs()));
    },
    recordLease(askedMs, nowMs, isRisky) {
      lease.add(nowMs - askedMs);
      grewMs ??= nowMs;
      if (!isRisky && nowMs - grewMs < growMs) return;
      bound = Math.min(isRisky ? first : 2 * bound, max);
      grewMs = nowMs;
    },
  };
}

/** A mean of the latest values, or of all while there are few. Infinite at first. */
function createMean(share: number) {
  let mean = Number.POSITIVE_INFINITY;
  let count = 0;
  return {
    value: () => mean,
    add(value: number) {
      count += 1;
      mean = count === 1 ? value : mean + (value - mean) * Math.max(1 / count, share);
    },
  };
}
