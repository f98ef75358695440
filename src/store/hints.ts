import { isFinal, isSuspect } from "../job/job.ts";
import type { HintListener, JobName, Settling, Store, StoreCalls } from "./store.ts";

/**
 * Adds `subscribe` to the calls of a store: listeners get hints about the calls of this process. For drivers whose
 * calls take effect in order: the hints of `submit` and `settle` are sent with the call, so that the resulting lease or
 * read follows it and shares its commit. Hints of other calls follow their answers.
 */
export function withHints(calls: StoreCalls): StoreCalls & Pick<Store, "subscribe"> {
  const listeners = new Set<HintListener>();

  function changed(jobs: readonly JobName[]): void {
    if (jobs.length > 0) for (const { jobs: notify } of listeners) notify(jobs);
  }

  /** Sends one hint for neighbours with the same queue, with the earliest time. Most neighbours have. */
  function due(jobs: Iterable<{ readonly pool: string; readonly runAt: number; readonly crashes?: number }>): void {
    let queue: { readonly pool: string; readonly isSuspect: boolean; at: number } | undefined;
    const notify = () => {
      if (queue) for (const listener of listeners) listener.due(queue.pool, queue.at, queue.isSuspect);
    };
    for (const { pool, runAt, crashes = 0 } of jobs) {
      const suspect = isSuspect({ crashes });
      if (queue?.pool === pool && queue.isSuspect === suspect) queue.at = Math.min(queue.at, runAt);
      else {
        notify();
        queue = { pool, isSuspect: suspect, at: runAt };
      }
    }
    notify();
  }

  function results(jobs: Iterable<{ readonly client: string; readonly channel: string | null }>): void {
    let last: { readonly client: string; readonly channel: string | null } | undefined;
    for (const job of jobs) {
      if (job.channel === null || (last?.channel === job.channel && last.client === job.client)) continue;
      last = job;
      for (const listener of listeners) listener.results(job.client, job.channel);
    }
  }

  function settled(settlements: readonly Settling["settlement"][]): void {
    changed(settlements);
    const hasFinal = settlements.some(({ state }) => isFinal(state));
    const hasQueued = settlements.some(({ state }) => state === "QUEUED");
    if (hasFinal) results(hasQueued ? settlements.filter(({ state }) => isFinal(state)) : settlements);
    if (hasQueued) due(settlements.filter(({ state }) => state === "QUEUED"));
  }

  return {
    ...calls,
    submit(jobs) {
      const answers = calls.submit(jobs);
      due(jobs.map(({ job }) => job));
      return answers;
    },
    async lease(request) {
      const leased = await calls.lease(request);
      changed(leased.leases);
      return leased;
    },
    settle(attempts) {
      const answers = calls.settle(attempts);
      settled(attempts.map(({ settlement }) => settlement));
      return answers;
    },
    async cancel(request) {
      const { client, ids } = request;
      const answers = await calls.cancel(request);
      const ended = answers.filter((answer) => answer.kind === "cancelled");
      results(ended.map(({ channel }) => ({ client, channel })));
      changed(ids.map((id) => ({ client, id })));
      return answers;
    },
    async redrive(request) {
      const { client, jobs } = request;
      const answers = await calls.redrive(request);
      due(
        answers.flatMap((answer, index) =>
          answer.kind === "redriven" ? [{ pool: answer.pool, runAt: (jobs[index] as { runAt: number }).runAt }] : [],
        ),
      );
      changed(jobs.map(({ id }) => ({ client, id })));
      return answers;
    },
    async remove(request) {
      const { client, ids } = request;
      const answers = await calls.remove(request);
      changed(ids.map((id) => ({ client, id })));
      return answers;
    },
    async override(request) {
      const answer = await calls.override(request);
      for (const listener of listeners) listener.overrides(request.pool);
      return answer;
    },
    subscribe(listener) {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
  };
}
