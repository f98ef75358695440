/**
 * The store port: where jobs live between the moment they are accepted and the moment their result is acknowledged.
 *
 * What every driver promises, and one conformance suite checks (test/store/conformance.ts):
 * - Calls take arrays and give arrays in the same order. Each call is atomic: all of it is durable when it resolves, or
 *   it rejects and the caller may not assume anything about it, except that repeating it is safe.
 * - Calls take effect in the order in which they were made from one process. So a `lease` made right after a `submit`,
 *   without waiting for it, sees its jobs: that saves a commit on the way from submit to result.
 * - Time is passed in; a driver never looks at a clock.
 * - A driver decides nothing: no retry, no backoff, no death. It writes the settlements that `job/transition.ts` made.
 * - A store that failed once stays failed: every later call rejects with `store_failed`.
 */
import type { JobState, Lease, NewJob, Settlement, StoredJob, StoredResult } from "../job/job.ts";

/** What became of one submitted job. */
export type Submitted =
  | { readonly kind: "accepted" }
  /** The same client submitted the same content under this id before. `cursor`: its result's position once final. */
  | { readonly kind: "duplicate"; readonly cursor: number | null }
  /** The same client submitted other content under this id; `differs` names the fields (`task`, `channel`, `input`). */
  | { readonly kind: "conflict"; readonly differs: readonly string[] }
  /** Another client holds this id. */
  | { readonly kind: "taken" };

export type LeaseRequest = {
  readonly pool: string;
  /** At most this many leases; at least 1. */
  readonly limit: number;
  readonly now: number;
  /** Who leases: unique for each start of a server process. */
  readonly owner: string;
};

export type Leased = {
  readonly leases: readonly Lease[];
  /**
   * When to look again if nobody gives a hint: the earliest `runAt` of a queued job of this pool that is not due, or
   * null. Only meaningful, and only not null, when fewer leases than `limit` came back.
   */
  readonly nextDueAt: number | null;
};

export type ResultsRequest = {
  readonly client: string;
  readonly channel: string;
  /** Results after this position; what is acknowledged is skipped whatever this says. */
  readonly afterCursor: number;
  /** At most this many results; at least 1. */
  readonly limit: number;
  /** At most this many bytes of outputs and failures (as JSON) in all; a first result larger than that comes alone. */
  readonly maxBytes: number;
};

export type Results = {
  /** In the channel's order, positions rising by one, except that pruned results at the very start are missing. */
  readonly results: readonly StoredResult[];
  /** Position of the channel's newest result; 0 when it never had one. */
  readonly lastCursor: number;
};

export type AckRequest = { readonly client: string; readonly channel: string; readonly cursor: number };

export type Acked =
  | {
      readonly kind: "acknowledged" /** The position now in force, never lower than before. */;
      readonly cursor: number;
    }
  /** No result has that position yet; nothing changed. */
  | { readonly kind: "out_of_range"; readonly lastCursor: number };

export type ListRequest = {
  readonly client: string;
  /** At most this many jobs; at least 1. */
  readonly limit: number;
  /** Only jobs with a lower `seq`; null: from the newest. */
  readonly beforeSeq: number | null;
  readonly state: JobState | null;
  readonly task: string | null;
  readonly channel: string | null;
};

export type PruneRequest = {
  /** SUCCEEDED and CANCELLED jobs whose result is acknowledged may go when they finished before this. */
  readonly acknowledgedBefore: number;
  /** SUCCEEDED and CANCELLED jobs whose result nobody acknowledged may go when they finished before this. */
  readonly unacknowledgedBefore: number;
  /** DEAD jobs, acknowledged or not, may go when they finished before this. */
  readonly deadBefore: number;
  /** At most this many jobs are removed by one call. */
  readonly limit: number;
};

/** Jobs of one pool by state. Always equal to what counting the jobs would give. */
export type PoolCounts = { readonly pool: string } & Readonly<Record<JobState, number>>;

export type Counts = {
  readonly pools: readonly PoolCounts[];
};

export type Store = {
  /** Stores jobs, with copies of their inputs. Durable on return; idempotent by job id; a job never changes once stored. */
  submit(jobs: readonly NewJob[]): Promise<readonly Submitted[]>;
  /**
   * Takes due jobs, those with the lowest `runAt` first and in the order of submission among equals, and gives the
   * caller the right to run one attempt of each. Two callers never hold the same job. Raises `attempt` and `fence` by
   * one, durably, before it returns. Fewer leases than `limit` means that no more are due.
   */
  lease(request: LeaseRequest): Promise<Leased>;
  /**
   * Writes how attempts ended, and for each true answer the job's result and its position in the channel, in one
   * transaction. False: the fence was old or the job not RUNNING; nothing was written for it.
   */
  settle(settlements: readonly Settlement[]): Promise<readonly boolean[]>;
  /** Jobs RUNNING under an owner other than this one, oldest first: attempts that nobody will settle. Changes nothing. */
  expired(request: { readonly owner: string; readonly limit: number }): Promise<readonly Lease[]>;
  /** One job of this client, or null: also when it belongs to another. */
  get(request: { readonly client: string; readonly id: string }): Promise<StoredJob | null>;
  /** Jobs of this client, newest first; `output` is left out (null). */
  list(request: ListRequest): Promise<readonly StoredJob[]>;
  /** A channel's results from a position on. An unknown channel is an empty one. */
  results(request: ResultsRequest): Promise<Results>;
  /** Acknowledges each channel's results up to a position: `results` never returns them again. */
  ack(requests: readonly AckRequest[]): Promise<readonly Acked[]>;
  /**
   * Removes final jobs that retention allows, at most `limit`, and resolves with their number; fewer than `limit` means
   * that no more may go. Each channel's oldest go first, and what must stay keeps those after it, so that a reader never
   * meets a gap; only DEAD jobs whose result is acknowledged are passed over, and go when their own time comes.
   */
  prune(request: PruneRequest): Promise<number>;
  /** How many jobs each pool holds in each state; pools that never had a job are missing. */
  counts(): Promise<Counts>;
  /** When the oldest due job of each of these pools became due, or null; in the order of the request. */
  oldestDue(request: { readonly pools: readonly string[]; readonly now: number }): Promise<readonly (number | null)[]>;
  /** Finishes what was asked for before, then lets go of every file and thread. Safe to repeat. */
  close(): Promise<void>;
};
