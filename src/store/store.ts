/**
 * The store port: jobs live here from their acceptance until their result is acknowledged.
 *
 * The contract of every driver, checked by one conformance suite (test/store/conformance.ts):
 * - Calls take and return arrays in the same order. Each call is atomic: all of it is durable when it resolves; if it
 *   rejects, the caller may not assume anything about it, except that repeating it is safe.
 * - Several processes may use one store (`isShared`). The order of concurrent calls, of one process or of several, is
 *   not defined: a caller that needs the effect of a call awaits it, and one that does not find it polls. In both
 *   drivers here, calls of one process take effect in their order, so a `lease` made right after a `submit` sees its
 *   jobs, which saves a commit between submit and result: the hints are sent at that moment.
 * - Time is passed in. A driver with a clock of its own, such as a database's, judges the ends of leases by that.
 * - A driver decides nothing: no retry, no backoff, no death, no comparison of two submits. It writes what
 *   `job/transition.ts` has decided.
 * - What was submitted, and how attempts ended, are records (job/record.ts, job/ending.ts), beside the few columns by
 *   which a driver finds, orders and changes jobs. A driver stores the bytes unchanged, and decodes them only to
 *   answer.
 * - A call fails in one of two ways. `store_unavailable`: the effect of this call is unknown, later ones may succeed,
 *   and repeating it is safe. `store_failed`: the failure is final, and every later call rejects with it. Both drivers
 *   here only have the second. Every call ends: a driver whose database does not answer rejects after a timeout of its
 *   own.
 */
import type {
  DeadReason,
  FinalState,
  JobState,
  Labels,
  Lease,
  NewJob,
  Settlement,
  StoredJob,
  StoredResult,
  WholeJob,
} from "../job/job.ts";
import type { Overridden, OverrideRequest, PoolOverrides } from "./pool-overrides.ts";

/** The columns by which a driver finds and orders jobs. */
export type JobColumns = Pick<
  NewJob,
  | ("id" | "client" | "task" | "pool" | "channel" | "priority")
  | ("runAt" | "expiresAt" | "submittedAt" | "idempotencyKey")
>;

export type Submission = {
  readonly job: JobColumns;
  /** The whole job: see `encodeJob`. May be a view of a larger buffer. */
  readonly record: Uint8Array;
  /** What its idempotency key remembers: see `encodeContent`. Null: it has no key. */
  readonly content: Uint8Array | null;
};

/** The answer to one submitted job. */
export type Submitted =
  | { readonly kind: "accepted" }
  /**
   * The same client has submitted a job with this id or idempotency key before, and nothing was stored; `differences`
   * compares the two. `id`: that of the existing job. `content`: its record, or what the key remembers, which may
   * outlive the job. `cursor`: the position of its result once it is final and in a channel.
   */
  | {
      readonly kind: "known";
      readonly by: "id" | "key";
      readonly id: string;
      readonly content: Uint8Array;
      readonly cursor: number | null;
    }
  /** Another client has a job with this id. */
  | { readonly kind: "taken" }
  /** Its deadline is not after its start, and it was not submitted before: nothing was stored. */
  | { readonly kind: "late" };

export type LeaseRequest = {
  readonly pool: string;
  /** At most this many leases; at least 1. */
  readonly limit: number;
  /** No further leases once the jobs' records have this many bytes. Default: no bound. */
  readonly maxBytes?: number;
  readonly now: number;
  /** The leasing process: unique for each start of a server. */
  readonly owner: string;
  /** How long the leases last, from `now`, unless they are extended. */
  readonly leaseMs: number;
  /** Leases only QUEUED jobs whose deadline has passed, due or not: the reaper settles them. */
  readonly onlyExpired?: boolean;
  /** Leases only suspects (see job.ts) instead of only other jobs; `onlyExpired` leases both, whatever this is. */
  readonly suspects?: boolean;
};

export type Leased = {
  readonly leases: readonly Lease[];
  /**
   * When to poll again without a hint: the earliest `runAt` of the requested kind of jobs that are not due; `now` if
   * `maxBytes` left due jobs; null: neither, or there are `limit` leases.
   */
  readonly nextDueAt: number | null;
};

/** Identifies a lease. */
export type Held = { readonly seq: number; readonly fence: number };

export type ExtendRequest = { readonly leases: readonly Held[]; readonly now: number; readonly leaseMs: number };

/** `isOwnerGone`: the process that held it is known to be dead. Otherwise it may be alive, and late. */
export type ExpiredLease = Lease & { readonly owner: string; readonly isOwnerGone: boolean };

/**
 * `held`: the lease is extended. `cancelling`: it is extended, and the job was cancelled meanwhile. `lost`: another
 * process has settled it, and this holder's settlement will be refused.
 */
export type Extended = "held" | "cancelling" | "lost";

/** How an attempt ended, and the resulting changes of the job. */
export type Settling = {
  readonly settlement: Omit<Settlement, "output" | "failure">;
  /**
   * See `encodeEnding`: the job's result if it is final, and an entry of its history if the attempt did not succeed.
   * Null: the attempt was released, which leaves no ending.
   */
  readonly ending: Uint8Array | null;
};

/**
 * `written`: the settlement was applied. `stale`: the fence was old, or the job was not RUNNING; nothing was written.
 * `cancelling`: the job was cancelled meanwhile, and the settlement is neither SUCCEEDED nor CANCELLED; nothing was
 * written, and the holder must settle it as cancelled.
 */
export type Settled = "written" | "stale" | "cancelling";

/** Selects the jobs of a client that match everything that is not null. */
export type JobFilter = {
  readonly task: string | null;
  readonly pool: string | null;
  readonly channel: string | null;
  /** Jobs that have all of these; empty: any. */
  readonly labels: Labels;
  /** Submitted at or after this time. */
  readonly submittedFrom: number | null;
  /** Submitted before this time. */
  readonly submittedBefore: number | null;
  readonly deadReason: DeadReason | null;
  /** The `failure.reason` of the last attempt. */
  readonly failureReason: string | null;
};

export type FindRequest = {
  readonly client: string;
  readonly filter: JobFilter;
  /** Jobs in one of these states. */
  readonly states: readonly JobState[];
  /** Only jobs with a higher `seq`; 0: starts with the oldest. */
  readonly afterSeq: number;
  /** At most this many jobs; at least 1. */
  readonly limit: number;
};

export type Found = {
  /** In the order of their `seq`. */
  readonly ids: readonly string[];
  /** The next `afterSeq`. Null: there are no more. A page that is not the last may be short, even empty. */
  readonly nextSeq: number | null;
};

export type CancelRequest = {
  readonly client: string;
  readonly ids: readonly string[];
  readonly now: number;
};

export type Cancelled =
  /** It waited, and is CANCELLED now, with a result. */
  | ({ readonly kind: "cancelled"; readonly attempts: number } & Pick<
      Lease,
      "task" | "pool" | "channel" | "trace" | "submittedAt" | "runAt" | "redrives"
    >)
  /** It runs: the cancel is durable, and no settlement will queue the job again. Its holder must be notified. */
  | { readonly kind: "cancelling"; readonly pool: string; readonly seq: number }
  | { readonly kind: "final"; readonly state: FinalState }
  | { readonly kind: "not_found" };

export type RedriveRequest = {
  readonly client: string;
  readonly now: number;
  readonly jobs: readonly { readonly id: string; readonly runAt: number }[];
};

export type Redriven =
  /** It is QUEUED, without counted attempts, crashes and deadline; history and previous result are kept. */
  | { readonly kind: "redriven"; readonly pool: string; readonly trace: string | null }
  | { readonly kind: "not_dead"; readonly state: JobState }
  | { readonly kind: "not_found" };

export type Removed =
  | { readonly kind: "removed" }
  | { readonly kind: "not_final"; readonly state: JobState }
  /** It is SUCCEEDED, and its result is not acknowledged. */
  | { readonly kind: "not_acknowledged" }
  | { readonly kind: "not_found" };

export type ResultsRequest = {
  readonly client: string;
  readonly channel: string;
  /** Returns results after this position; acknowledged ones are always skipped. */
  readonly afterCursor: number;
  /** At most this many results; 0: only the channel's positions. */
  readonly limit: number;
  /** At most this many bytes of stored results; a larger first result is returned alone. */
  readonly maxBytes: number;
};

export type Results = {
  /** In the channel's order, without gaps, except that results at the start may be pruned. */
  readonly results: readonly StoredResult[];
  /** Position of the channel's newest result; 0: it never had one. */
  readonly lastCursor: number;
  /** Position up to which results are acknowledged; 0: none are. */
  readonly ackedCursor: number;
};

export type AckRequest = { readonly client: string; readonly channel: string; readonly cursor: number };

export type Acked =
  | {
      readonly kind: "acknowledged";
      /** The position in force, never lower than before. */
      readonly cursor: number;
    }
  /** No result has that position yet; nothing has changed. */
  | { readonly kind: "out_of_range"; readonly lastCursor: number };

/** Identifies a job together with its client, because jobs of one client are never shown to another. */
export type JobName = { readonly client: string; readonly id: string };

/** A job's state, without its data. */
export type JobGlance = Pick<StoredJob, "state" | "attempts" | "isCancelling" | "redrives" | "runAt">;

/**
 * Receives hints of where a poll may find changes. Hints may be lost, repeated or superfluous, so their receivers also
 * poll; a hint only saves time. Called within calls of the store: it must not throw.
 */
export type HintListener = {
  /** Jobs of this pool, either suspects or others, may be due from this time on. */
  due(pool: string, at: number, isSuspect: boolean): void;
  /** This channel may have new results. */
  results(client: string, channel: string): void;
  /** The states of these jobs may have changed. */
  jobs(jobs: readonly JobName[]): void;
  /** The overrides of this pool may have changed. */
  overrides(pool: string): void;
};

export type ListRequest = {
  readonly client: string;
  readonly filter: JobFilter;
  /** Null: any. */
  readonly state: JobState | null;
  /** At most this many jobs; at least 1. */
  readonly limit: number;
  /** Only jobs with a lower `seq`; null: from the newest. */
  readonly beforeSeq: number | null;
};

export type Listed = {
  /** Newest first. */
  readonly jobs: readonly StoredJob[];
  /** The next `beforeSeq`. Null: there are no more. A page that is not the last may be short. */
  readonly nextSeq: number | null;
};

/** Bounds on what is kept: jobs, and bytes of their records, results and histories. Infinity: no bound. */
export type Room = { readonly jobs: number; readonly bytes: number };

export type PruneRequest = {
  readonly now: number;
  /** SUCCEEDED and CANCELLED jobs whose result is acknowledged may be removed if they finished before this. */
  readonly acknowledgedBefore: number;
  /** SUCCEEDED and CANCELLED jobs whose result is not acknowledged may be removed if they finished before this. */
  readonly unacknowledgedBefore: number;
  /** DEAD jobs, acknowledged or not, may be removed if they finished before this. */
  readonly deadBefore: number;
  /** While more SUCCEEDED and CANCELLED jobs than this are kept, the oldest are removed, whatever their age. */
  readonly maxFinished: Room;
  /** The same for DEAD jobs. */
  readonly maxDead: Room;
  /** Removes at most this many jobs per call. */
  readonly limit: number;
};

/** Number of jobs of one pool by state. Always exact. */
export type PoolCounts = { readonly pool: string } & Readonly<Record<JobState, number>>;

export type Counts = {
  readonly pools: readonly PoolCounts[];
};

/** `max`: at least 1. */
export type EligibleRequest = {
  readonly pools: readonly { readonly pool: string; readonly max: number }[];
  readonly now: number;
};

/** Number of eligible jobs of a pool, and when the oldest of them became due; null: there is none. */
export type Eligible = { readonly jobs: number; readonly oldestAt: number | null };

export type StoreSize = {
  /** Size of the store's files on disk; 0: there are none. */
  readonly bytes: number;
  /** Free part of it, which new jobs use before the files grow. */
  readonly freeBytes: number;
};

export type Store = {
  /**
   * Stores jobs. Durable on return; idempotent by job id and by (client, idempotency key). A stored record never
   * changes, and the caller must not change its bytes. A key is remembered for `idempotencyMs`, even if its job is
   * removed earlier.
   */
  submit(jobs: readonly Submission[]): Promise<readonly Submitted[]>;
  /**
   * Leases due jobs: gives the caller the right to run one attempt of each. Highest priority first, then lowest
   * `runAt`, then in the order of submission. Two callers never hold the same job. Raises `attempt` and `fence` by one,
   * durably, before it returns. Fewer leases than `limit` mean that no more are due. Includes jobs whose deadline has
   * passed, and those with `damage`: the caller settles them without running them.
   */
  lease(request: LeaseRequest): Promise<Leased>;
  /** Makes leases last for `leaseMs` from now, also ended ones, as long as they are not settled. */
  extend(request: ExtendRequest): Promise<readonly Extended[]>;
  /** Writes how attempts ended: for each, the job's result with its position, or an entry of its history. */
  settle(attempts: readonly Settling[]): Promise<readonly Settled[]>;
  /** Leases of all owners that have ended and are not settled, oldest job first. Changes nothing. */
  expired(request: { readonly now: number; readonly limit: number }): Promise<readonly ExpiredLease[]>;
  /**
   * Ends all leases of one process that is known to be dead; resolves with their number. Idempotent. A driver whose
   * store belongs to one process does this by itself for all other processes when it opens.
   */
  recover(request: { readonly owner: string }): Promise<number>;
  /** Cancels jobs of this client by id, independently of each other. A repeated id is answered as after the first. */
  cancel(request: CancelRequest): Promise<readonly Cancelled[]>;
  /** Puts DEAD jobs of this client back into the queue, independently of each other. */
  redrive(request: RedriveRequest): Promise<readonly Redriven[]>;
  /** Removes final jobs of this client, each by itself. Unacknowledged results stay in their channel. */
  remove(request: { readonly client: string; readonly ids: readonly string[] }): Promise<readonly Removed[]>;
  /** One job of this client; null: there is none, or it belongs to another client. */
  get(request: { readonly client: string; readonly id: string }): Promise<WholeJob | null>;
  /** The state of each of these jobs, in order; null as for `get`. Only reads columns, whatever the jobs' size. */
  states(jobs: readonly JobName[]): Promise<readonly (JobGlance | null)[]>;
  /** Jobs of this client, newest first; `output` is left out (null). Reads a bounded number of rows. */
  list(request: ListRequest): Promise<Listed>;
  /** Ids of jobs of this client, for `cancel`, `redrive` and `remove`. Reads a bounded number of rows. */
  find(request: FindRequest): Promise<Found>;
  /** Number of due jobs in its queue (suspects have their own) before a QUEUED job, up to `max`; null: not QUEUED. */
  ahead(request: { readonly seq: number; readonly now: number; readonly max: number }): Promise<number | null>;
  /** A channel's results from a position on. An unknown channel is empty. */
  results(request: ResultsRequest): Promise<Results>;
  /** Acknowledges each channel's results up to a position: `results` never returns them again. */
  ack(requests: readonly AckRequest[]): Promise<readonly Acked[]>;
  /**
   * Removes final jobs as retention allows, at most `limit`, and expired idempotency keys, at most `limit`. Resolves
   * with the larger of both numbers; fewer than `limit` means that no more may be removed. Each channel's oldest are
   * removed first, and a job that must stay keeps those after it, so that a reader never finds a gap. Only DEAD jobs
   * whose result is acknowledged are skipped, and removed when their own time is over. Results whose job was removed or
   * redriven are treated like unacknowledged ones, and count. Jobs without a channel count as acknowledged. Over
   * `maxFinished`, an unread DEAD result in front of others loses its place in the channel, which also counts; its job
   * stays. Reads a bounded number of rows: if nothing may be removed among very many, a later call continues.
   */
  prune(request: PruneRequest): Promise<number>;
  /** Number of jobs of each pool in each state; pools that never had a job are missing. */
  counts(): Promise<Counts>;
  /** Eligible jobs of each of these pools (due, and no suspects), up to its `max`, in the request's order. */
  eligible(request: EligibleRequest): Promise<readonly Eligible[]>;
  /** When the oldest due job of each of these pools became due, and its oldest DEAD job died; in order. */
  oldest(request: { readonly pools: readonly string[]; readonly now: number }): Promise<readonly Oldest[]>;
  /** Changes the overrides of a pool: see `override`, which decides. Idempotent. */
  override(request: OverrideRequest): Promise<Overridden>;
  /** The overrides of all pools that have any, configured or not. */
  overrides(): Promise<ReadonlyMap<string, PoolOverrides>>;
  /**
   * The latest time (`now`, `submittedAt`, `finishedAt`) of any call that may write, also before the store was opened;
   * 0: none. As durable as the data written with it; after a crash it may be up to `latestKeptMs` older than the last
   * call that wrote nothing.
   */
  latest(): Promise<number>;
  /** Sends hints to the listener until the returned function is called. */
  subscribe(listener: HintListener): () => void;
  /** Whether other processes may use the store, so that none can count its jobs by itself. */
  readonly isShared: boolean;
  /** The store's size on disk. Free space in it may be returned to the disk while no call is pending. */
  size(): Promise<StoreSize>;
  /** Finishes pending calls, then closes every file and thread. Safe to repeat. */
  close(): Promise<void>;
};

/** The calls of a store. */
export type StoreCalls = Omit<Store, "subscribe" | "isShared">;

/** How often a store that writes nothing else writes the latest time. */
export const latestKeptMs = 60_000;

/** Times in milliseconds since 1970; null: there is no such job. */
export type Oldest = { readonly dueAt: number | null; readonly diedAt: number | null };
