/** Jobs without a result, by the id under which the result comes. Several may wait for one: inputs with the same key. */
export type PendingJobs<J extends { jobId: string }> = {
  add(job: J): void;
  has(job: J): boolean;
  /** The result of this job comes under another id. */
  move(job: J, jobId: string): void;
  remove(job: J): void;
  /** Removes and returns those that wait for this id. */
  take(jobId: string): readonly J[];
  all(): J[];
};

export function createPendingJobs<J extends { jobId: string }>(): PendingJobs<J> {
  const byId = new Map<string, Set<J>>();

  function add(job: J): void {
    const same = byId.get(job.jobId);
    if (same === undefined) byId.set(job.jobId, new Set([job]));
    else same.add(job);
  }

  function remove(job: J): void {
    const same = byId.get(job.jobId);
    if (same?.delete(job) && same.size === 0) byId.delete(job.jobId);
  }

  return {
    add,
    has: (job) => byId.get(job.jobId)?.has(job) === true,
    move: (job, jobId) => {
      remove(job);
      job.jobId = jobId;
      add(job);
    },
    remove,
    take: (jobId) => {
      const same = byId.get(jobId);
      byId.delete(jobId);
      return same === undefined ? [] : [...same];
    },
    all: () => [...byId.values()].flatMap((same) => [...same]),
  };
}
