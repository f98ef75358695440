/**
 * How many jobs to hold ready beyond those that run, so that a worker that is done need not wait for a lease and its
 * commit.
 */
export type Prefetch = {
  /**
   * Jobs worth holding ready: what the workers use up until more can be there. 0 while nothing is known of the jobs or they
   * take 100 ms or more on average. Otherwise at least `chunk`, the size of a chunk, and at most the larger of `chunk` and
   * what keeps each worker busy for 100 ms; never more than the bound, see `recordLease`.
   */
  jobs(chunk: number): number;
  /** How long a job took, in milliseconds. */
  recordJob(tookMs: number): void;
  /**
   * A lease brought jobs: when it was asked for and answered, by the monotonic clock. The bound is `first` in the beginning, and doubles
   * with the first lease after each quarter of a second, up to `max`. `isRisky`: the bound is
   * `first` again, because a job was among them that few others should be held with when the process dies.
   */
  recordLease(askedMs: number, nowMs: number, isRisky: boolean): void;
};

export type PrefetchBounds = { readonly first: number; readonly max: number };

/** More work gains nothing from being held ready, and another server might have a free worker for it. */
const mostMs = 100;
/** What the latest one counts in an average: of jobs so little that a rare slow one has its share and no more. */
const shares = { job: 0.01, lease: 0.1 };
/** The pause between two doublings of the bound. A retry comes sooner than the bound is large. */
const growMs = 250;
/** Shorter times count as this, so that none is divided by 0. */
const leastMs = 0.001;

/**
 * What becomes missing is asked for when the lease under way is answered, and comes with the next: what is ready has to
 * last for two round trips. By Little's law a worker uses up as many jobs in that time as fit into it by their mean.
 * Where a few are slow that is too little: between two slow ones a worker runs through far more. One that begins a job
 * uses up at least `time / mean(min(job, time)) - 1` others in that time (Wald's equation).
 */
export function createPrefetch(places: () => number, { first, max }: PrefetchBounds): Prefetch {
  const lease = createMean(shares.lease);
  const job = createMean(shares.job);
  /** Of jobs, none longer than what is ready has to last. */
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

/** Of what came lately, or, as long as that is little, of all that came. Infinite at first. */
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
