/** Explains why a job is not running now. */
import type { Clock } from "../../clock.ts";
import { isFinal, isSuspect, type StoredJob } from "../../job/job.ts";
import type { PoolPause } from "../../store/pool-overrides.ts";
import type { Store } from "../../store/store.ts";

export type Cause =
  | "running"
  | "cancelling"
  | "final"
  | "delayed"
  | "backoff"
  | "queued"
  | "workers_busy"
  | "suspect"
  | "draining"
  | "paused"
  | "no_pool"
  | "pool_broken"
  | "worker_starting";

export type Explanation = {
  readonly cause: Cause;
  /** The same in one sentence. */
  readonly text: string;
  readonly job: StoredJob;
  /** Due jobs of its pool that start before it, counted up to `maxAhead`; for a suspect, only suspects. */
  readonly ahead: number;
  /** Jobs that its pool runs now; for a suspect, those that run in processes of their own. */
  readonly running: number;
  /** Threads that its pool may have now; for a suspect, processes. */
  readonly workers: number;
};

export const maxAhead = 10_000;

/** Null: this client has no such job. */
export type Explain = (client: string, id: string) => Promise<Explanation | null>;

/** What a waiting job depends on: the workers and the queue of its pool, of the suspects or of all other jobs. */
export type ExplainedLane = {
  readonly running: number;
  /** Leased jobs that wait for a worker, which are RUNNING in the store: the next to start comes first. */
  readonly waiting: readonly number[];
  readonly workers: number;
  /** Jobs that one worker runs at once. */
  readonly concurrency: number;
  /** Why the pool gets no more workers; undefined: growth is not refused. */
  readonly refusal: string | undefined;
  /** Null: its pool is not paused. */
  readonly pause: PoolPause | null;
  /** Whether its threads cannot start. */
  readonly isBroken: boolean;
  /** How long this job has waited for a thread that starts; undefined: it does not. */
  readonly startingMs: (seq: number) => number | undefined;
};

export type ExplainParts = {
  readonly store: Pick<Store, "get" | "ahead">;
  readonly clock: Clock;
  /** Undefined: its pool is not configured. */
  readonly laneOf: (job: StoredJob) => ExplainedLane | undefined;
  readonly isDraining: () => boolean;
};

export function createExplain({ store, clock, laneOf, isDraining }: ExplainParts): Explain {
  return async function explain(client, id) {
    const job = await store.get({ client, id });
    if (!job) return null;
    const now = clock.now();
    const isDue = job.state === "QUEUED" && job.runAt <= now;
    const queued = isDue ? await store.ahead({ seq: job.seq, now, max: maxAhead }) : 0;
    if (queued === null) return explain(client, id); // it was leased or has ended meanwhile
    const lane = laneOf(job); // read last: jobs that were leased from the queue meanwhile are in it
    const { running, workers } = lane ?? { running: 0, workers: 0 };
    const waiting = lane?.waiting ?? [];
    const place = waiting.indexOf(job.seq);
    const ahead = isDue && place === -1 ? Math.min(waiting.length + queued, maxAhead) : Math.max(place, 0);
    const startingMs = job.state === "RUNNING" ? lane?.startingMs(job.seq) : undefined;
    const hasStarted = job.state === "RUNNING" && place === -1 && startingMs === undefined;
    const cause = causeOf(job, now, { ahead, hasStarted, startingMs, lane, isDraining: isDraining() });
    const text = sentence(cause, job, now, {
      ahead,
      running,
      workers,
      startingMs,
      pause: lane?.pause,
      refusal: lane?.refusal,
    });
    return { cause, text, job, ahead, running, workers };
  };
}

type Situation = {
  readonly ahead: number;
  readonly hasStarted: boolean;
  readonly startingMs: number | undefined;
  readonly lane: ExplainedLane | undefined;
  readonly isDraining: boolean;
};

function causeOf(job: StoredJob, now: number, situation: Situation): Cause {
  const { ahead, hasStarted, startingMs, lane, isDraining } = situation;
  if (isFinal(job.state)) return "final";
  if (job.isCancelling) return "cancelling";
  if (hasStarted) return "running";
  if (!lane) return "no_pool";
  if (isDraining) return "draining";
  if (lane.pause) return "paused";
  if (job.runAt > now) return job.attempts > 0 ? "backoff" : "delayed";
  if (isSuspect(job)) return "suspect";
  if (lane.isBroken) return "pool_broken";
  if (startingMs !== undefined) return "worker_starting";
  return ahead === 0 && lane.running >= lane.workers * lane.concurrency ? "workers_busy" : "queued";
}

function sentence(
  cause: Cause,
  job: StoredJob,
  now: number,
  {
    ahead,
    running,
    workers,
    startingMs = 0,
    pause,
    refusal,
  }: Pick<Explanation, "ahead" | "running" | "workers"> & {
    readonly startingMs: number | undefined;
    readonly pause: PoolPause | null | undefined;
    readonly refusal: string | undefined;
  },
): string {
  const { state, deadReason, attempts, maxAttempts, runAt, pool, failure } = job;
  const size = refusal === undefined ? "" : `; ${refusal}`;
  switch (cause) {
    case "running":
      return `it runs${isSuspect(job) ? " in a process of its own" : ""}: attempt ${attempts} of ${maxAttempts}`;
    case "cancelling":
      return `it was cancelled and asked to stop: attempt ${attempts} has not ended yet`;
    case "final":
      return deadReason === null ? `it is ${state}` : `it is ${state}: ${deadReasons[deadReason]}`;
    case "delayed":
      return `it is not due yet: it starts in ${span(runAt - now)} at the earliest`;
    case "backoff":
      return `attempt ${attempts} of ${maxAttempts} failed (${failure?.reason ?? "unknown"}): the next starts in ${span(runAt - now)} at the earliest`;
    case "queued":
      return ahead === 0
        ? `it is the next to start in pool "${pool}"`
        : `${ahead === maxAhead ? `${maxAhead} jobs or more` : count(ahead, "job")} of pool "${pool}" ${ahead === 1 ? "starts" : "start"} before it${size}`;
    case "workers_busy":
      return `it is the next to start, and pool "${pool}" is busy: it runs ${count(running, "job")} on ${count(workers, "worker")}${size}`;
    case "suspect":
      return `it is a suspect, because ${job.crashes} server processes died while it ran: it waits for a process of its own, of which ${running} of ${workers} run, and ${count(ahead, "suspect")} of pool "${pool}" ${ahead === 1 ? "starts" : "start"} before it`;
    case "draining":
      return "the server is shutting down and starts nothing more: it stays in the store for the next one";
    case "paused":
      return `pool "${pool}" is paused by "${pause?.by}" since ${at(pause?.at)}: it starts once the pool is resumed${runAt > now ? `, in ${span(runAt - now)} at the earliest` : ""}`;
    case "no_pool":
      return `pool "${pool}" is not configured on this server: nothing runs its jobs`;
    case "worker_starting":
      return `it waits for a worker of pool "${pool}" to start, for ${span(startingMs)} now`;
    case "pool_broken":
      return `the threads of pool "${pool}" cannot start, and the server's log says why: it starts once they can`;
  }
}

const deadReasons = {
  exhausted: "its attempts are used up",
  permanent: "trying again cannot help",
  expired: "its deadline passed",
  poison: "the process that ran it and nothing else died",
} as const;

const at = (ms = 0) => new Date(ms).toISOString();
const count = (number: number, noun: string) => `${number} ${noun}${number === 1 ? "" : "s"}`;
const span = (ms: number) => (ms < 1_000 ? `${Math.round(ms)} ms` : `${Math.ceil(ms / 100) / 10} s`);
