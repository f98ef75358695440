/**
 * The store port: where jobs live between the moment they are accepted and the moment their result is acknowledged.
 *
 * What every driver promises, and one conformance suite checks (test/store/conformance.ts):
 * - Calls take arrays and give arrays in the same order. Each call is atomic: all of it is durable when it resolves, or
 *   it rejects and the caller may not assume anything about it, except that repeating it is safe.
 * - Several processes may use one store (`isShared`). Nothing is promised of the order of calls that are under way together,
 *   of one process or of several: whoever needs the effect of a call awaits it, and who meets its absence polls. Where the
 *   calls of a process do take effect in their order, as in both drivers here, a `lease` that is made right after a `submit`
 *   sees its jobs, which saves a commit on the way from submit to result: the hints are given at that moment.
 * - Time is passed in. A driver that has a clock of its own, such as a database's, judges the ends of leases by that.
 * - A driver decides nothing: no retry, no backoff, no death, no comparison of two submits. It writes what
 *   `job/transition.ts` decided.
 * - What was submitted and how attempts ended comes as records (job/record.ts, job/ending.ts), beside the few columns that a
 *   driver finds, orders and changes jobs by. A driver keeps the bytes as they are, and decodes them only to answer.
 * - A call fails in one of two ways. `store_unavailable`: nothing is known of this call, later ones may succeed, and repeating
 *   it is safe. `store_failed`: the store is of no use any more, and every later call rejects with it. Both drivers here
 *   have the second only. Every call ends: a driver whose database does not answer rejects after a time of its own.
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

/** What a driver finds and orders jobs by. */
export type JobColumns = Pick<
  NewJob,
  | ("id" | "client" | "task" | "pool" | "channel" | "priority")
  | ("runAt" | "expiresAt" | "submittedAt" | "idempotencyKey")
>;

export type Submission = {
  readonly job: JobColumns;
  /** The whole job: see `encodeJob`. May be a view of a larger buffer. */
  readonly record: Uint8Array;
  /** What its idempotency key is to remember: see `encodeContent`. Null without a key. */
  readonly content: Uint8Array | null;
};

/** What became of one submitted job. */
export type Submitted =
  | { readonly kind: "accepted" }
  /**
   * The same client submitted a job before, under this id or with this idempotency key, and nothing was stored: `differences` compares
   * them. `id` is that job's; `content` its record, or what the key remembers, which may outlive its job. `cursor`: its
   * result's position once it is final and in a channel.
   */
  | {
      readonly kind: "known";
      readonly by: "id" | "key";
      readonly id: string;
      readonly content: Uint8Array;
      readonly cursor: number | null;
    }
  /** Another client holds this id. */
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
  /** Who leases: unique for each start of a server process. */
  readonly owner: string;
  /** How long the leases last, from `now`, unless they are extended. A driver with a clock of its own counts by that. */
  readonly leaseMs: number;
  /** Only QUEUED jobs whose deadline has passed, due or not: the reaper settles them. */
  readonly onlyExpired?: boolean;
  /** Only suspects (see job.ts) instead of only the other jobs; with `onlyExpired` it is both, whatever this is. */
  readonly suspects?: boolean;
};

export type Leased = {
  readonly leases: readonly Lease[];
  /**
   * When to poll again if no hint comes: the earliest `runAt` of a queued job that was meant and is not due, or
   * null; `now` when `maxBytes` left due jobs behind. Only meaningful, and only not null, when fewer leases than `limit` came back.
   */
  readonly nextDueAt: number | null;
};

/** A lease as its holder names it. */
export type Held = { readonly seq: number; readonly fence: number };

export type ExtendRequest = { readonly leases: readonly Held[]; readonly now: number; readonly leaseMs: number };

/** `isOwnerGone`: the process that held it is known to be gone. Otherwise it may be alive, and only late. */
export type ExpiredLease = Lease & { readonly owner: string; readonly isOwnerGone: boolean };

/**
 * `held`: it ends at the new time. `cancelling`: that too, and the job was cancelled meanwhile. `lost`: another settled
 * it, and this holder's settlement will be refused.
 */
export type Extended = "held" | "cancelling" | "lost";

/** How an attempt ended, and what of the job changes by it. */
export type Settling = {
  readonly settlement: Omit<Settlement, "output" | "failure">;
  /**
   * See `encodeEnding`: the job's result when it is final, and a line of its history when the attempt did not succeed. Null of an
   * attempt that was given back, which leaves nothing behind.
   */
  readonly ending: Uint8Array | null;
};

/**
 * `written`: the job is as the settlement has it. `stale`: the fence was old or the job not RUNNING; nothing was written.
 * `cancelling`: the job was cancelled meanwhile and the settlement is neither SUCCEEDED nor CANCELLED; nothing was
 * written, and the holder has to settle it as cancelled.
 */
export type Settled = "written" | "stale" | "cancelling";

/** Which jobs of a client: those that match everything that is not null. */
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
  /** `failure.reason` of the last attempt. */
  readonly failureReason: string | null;
};

export type FindRequest = {
  readonly client: string;
  readonly filter: JobFilter;
  /** Jobs in one of these states. */
  readonly states: readonly JobState[];
  /** Only jobs with a higher `seq`; 0: from the oldest. */
  readonly afterSeq: number;
  /** At most this many jobs; at least 1. */
  readonly limit: number;
};

export type Found = {
  /** In the order of their `seq`. */
  readonly ids: readonly string[];
  /** Where to go on: the next `afterSeq`. Null: there are no more. A page may be short, even empty, and not be the last. */
  readonly nextSeq: number | null;
};

export type CancelRequest = {
  readonly client: string;
  readonly ids: readonly string[];
  readonly now: number;
};

export type Cancelled =
  /** It waited, and is CANCELLED, with a result. */
  | ({ readonly kind: "cancelled"; readonly attempts: number } & Pick<
      Lease,
      "task" | "pool" | "channel" | "trace" | "submittedAt" | "runAt" | "redrives"
    >)
  /** It runs: the wish is durable, no settlement will queue it again. Its holder has to be notified. */
  | { readonly kind: "cancelling"; readonly pool: string; readonly seq: number }
  | { readonly kind: "final"; readonly state: FinalState }
  | { readonly kind: "not_found" };

export type RedriveRequest = {
  readonly client: string;
  readonly now: number;
  readonly jobs: readonly { readonly id: string; readonly runAt: number }[];
};

export type Redriven =
  /** QUEUED, with no attempt and no crash counted, without a deadline; its history and its former result are kept. */
  | { readonly kind: "redriven"; readonly pool: string; readonly trace: string | null }
  | { readonly kind: "not_dead"; readonly state: JobState }
  | { readonly kind: "not_found" };

export type Removed =
  | { readonly kind: "removed" }
  | { readonly kind: "not_final"; readonly state: JobState }
  /** It SUCCEEDED, and its result waits to be acknowledged. */
  | { readonly kind: "not_acknowledged" }
  | { readonly kind: "not_found" };

export type ResultsRequest = {
  readonly client: string;
  readonly channel: string;
  /** Results after this position; what is acknowledged is skipped whatever this is. */
  readonly afterCursor: number;
  /** At most this many results; 0: only the channel's last position is asked for. */
  readonly limit: number;
  /** At most this many bytes of results as they are stored; a first result larger than that comes alone. */
  readonly maxBytes: number;
};

export type Results = {
  /** In the channel's order, positions rising by one, except that pruned results at the very start are missing. */
  readonly results: readonly StoredResult[];
  /** Position of the channel's newest result; 0 when it never had one. */
  readonly lastCursor: number;
  /** Position up to which results are acknowledged; 0: none is. */
  readonly ackedCursor: number;
};

export type AckRequest = { readonly client: string; readonly channel: string; readonly cursor: number };

export type Acked =
  | {
      readonly kind: "acknowledged" /** The position now in force, never lower than before. */;
      readonly cursor: number;
    }
  /** No result has that position yet; nothing changed. */
  | { readonly kind: "out_of_range"; readonly lastCursor: number };

/** Names a job to those who may know of it: what belongs to one client is never shown to another. */
export type JobName = { readonly client: string; readonly id: string };

/** A job's state without what it carries. */
export type JobGlance = Pick<StoredJob, "state" | "attempts" | "isCancelling" | "redrives" | "runAt">;

/**
 * Takes hints: where a poll may find something new. A hint may be lost, come twice, or come for nothing, so who needs what
 * it hints at polls as well; it only makes that quicker. Called within calls of the store: it must not throw.
 */
export type HintListener = {
  /** Jobs of this pool, suspects or others, may be due from this time on. */
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
  /** Where to go on: the next `beforeSeq`. Null: there are no more. A page may be short and not be the last. */
  readonly nextSeq: number | null;
};

/** How much may be kept: jobs, and bytes of their records, results and histories. Infinity: no bound. */
export type Room = { readonly jobs: number; readonly bytes: number };

export type PruneRequest = {
  readonly now: number;
  /** SUCCEEDED and CANCELLED jobs whose result is acknowledged may go when they finished before this. */
  readonly acknowledgedBefore: number;
  /** SUCCEEDED and CANCELLED jobs whose result is not acknowledged may go when they finished before this. */
  readonly unacknowledgedBefore: number;
  /** DEAD jobs, acknowledged or not, may go when they finished before this. */
  readonly deadBefore: number;
  /** While more SUCCEEDED and CANCELLED jobs are kept than this, the oldest go although their time has not come. */
  readonly maxFinished: Room;
  /** The same for DEAD jobs. */
  readonly maxDead: Room;
  /** At most this many jobs are removed by one call. */
  readonly limit: number;
};

/** Jobs of one pool by state. Always equal to what counting the jobs would give. */
export type PoolCounts = { readonly pool: string } & Readonly<Record<JobState, number>>;

export type Counts = {
  readonly pools: readonly PoolCounts[];
};

export type EligibleRequest = {
  readonly pools: readonly { readonly pool: string; readonly max: number }[];
  readonly now: number;
};

/** Eligible jobs of a pool, and since when the oldest of them is due; null: there is none. */
export type Eligible = { readonly jobs: number; readonly oldestAt: number | null };

export type StoreSize = {
  /** What the store's files take on the disk; 0 when there are none. */
  readonly bytes: number;
  /** What of it is free: new jobs use it before the files grow. */
  readonly freeBytes: number;
};

export type Store = {
  /**
   * Stores jobs. Durable on return; idempotent by job id and by (client, idempotency key); what was submitted never
   * changes once stored, nor may its bytes. A key is remembered for `idempotencyMs`, longer than its job if need be.
   */
  submit(jobs: readonly Submission[]): Promise<readonly Submitted[]>;
  /**
   * Takes due jobs, those with the highest priority first, then those with the lowest `runAt`, in the order of submission
   * among equals, and gives the caller the right to run one attempt of each. Two callers never hold the same job. Raises
   * `attempt` and `fence` by one, durably, before it returns. Fewer leases than `limit` means that no more are due. Jobs
   * whose deadline has passed are among them, and those with `damage`: the caller settles them unrun.
   */
  lease(request: LeaseRequest): Promise<Leased>;
  /** Makes leases last for `leaseMs` from now, those too that have ended, as long as they are not settled. */
  extend(request: ExtendRequest): Promise<readonly Extended[]>;
  /**
   * Writes how attempts ended, and for each one written the job's result with its position in the channel, or, when it
   * failed, a line of the job's history, in one transaction.
   */
  settle(attempts: readonly Settling[]): Promise<readonly Settled[]>;
  /** Leases that have ended and are not settled, oldest job first, of every owner. Changes nothing. */
  expired(request: { readonly now: number; readonly limit: number }): Promise<readonly ExpiredLease[]>;
  /**
   * Ends every lease of one process that is known to be gone, at once; resolves with their number. A driver whose store
   * belongs to one process does this by itself when it opens, for all others. Idempotent.
   */
  recover(request: { readonly owner: string }): Promise<number>;
  /** Cancels jobs of this client by id, each by itself. Of an id that comes twice the second answer is as after the first. */
  cancel(request: CancelRequest): Promise<readonly Cancelled[]>;
  /** Puts DEAD jobs of this client back into the queue, each by itself. */
  redrive(request: RedriveRequest): Promise<readonly Redriven[]>;
  /** Removes final jobs of this client, each by itself. The result of one that is not acknowledged stays in its channel. */
  remove(request: { readonly client: string; readonly ids: readonly string[] }): Promise<readonly Removed[]>;
  /** One job of this client, or null: also when it belongs to another. */
  get(request: { readonly client: string; readonly id: string }): Promise<WholeJob | null>;
  /** The state of each of these jobs, in order; null as for `get`. Reads columns only, whatever the jobs' size. */
  states(jobs: readonly JobName[]): Promise<readonly (JobGlance | null)[]>;
  /** Jobs of this client, newest first; `output` is left out (null). Reads a bounded number of rows. */
  list(request: ListRequest): Promise<Listed>;
  /** Ids of jobs of this client, for `cancel`, `redrive` and `remove`. Reads a bounded number of rows. */
  find(request: FindRequest): Promise<Found>;
  /**
   * How many due jobs of its pool a QUEUED job has before it, counted up to `max`; null when it is not QUEUED. Suspects
   * wait in a line of their own.
   */
  ahead(request: { readonly seq: number; readonly now: number; readonly max: number }): Promise<number | null>;
  /** A channel's results from a position on. An unknown channel is an empty one. */
  results(request: ResultsRequest): Promise<Results>;
  /** Acknowledges each channel's results up to a position: `results` never returns them again. */
  ack(requests: readonly AckRequest[]): Promise<readonly Acked[]>;
  /**
   * Removes final jobs that retention allows, at most `limit`, and resolves with their number, or that of the idempotency
   * keys it forgot if those were more; fewer than `limit` means that no more may go. Each channel's oldest go first, and what must stay keeps those after it, so that a reader never
   * meets a gap; only DEAD jobs whose result is acknowledged are passed over, and go when their own time comes. Also
   * forgets idempotency keys whose time is over, at most `limit`. Results whose job was removed or
   * redriven go like unacknowledged ones, and count. Jobs without a channel count as acknowledged. Over `maxFinished` an
   * unread DEAD result in front of others loses its place in the channel, which counts too; its job stays. Reads a
   * bounded number of rows: where nothing may go among very many, a later call goes on.
   */
  prune(request: PruneRequest): Promise<number>;
  /** How many jobs each pool holds in each state; pools that never had a job are missing. */
  counts(): Promise<Counts>;
  /** Eligible jobs of each of these pools: due, and no suspects; counted up to its `max`, at least 1; in the request's order. */
  eligible(request: EligibleRequest): Promise<readonly Eligible[]>;
  /** Since when the oldest due job of each of these pools is due, and its oldest DEAD job dead; in the request's order. */
  oldest(request: { readonly pools: readonly string[]; readonly now: number }): Promise<readonly Oldest[]>;
  /** Changes what operators set for a pool: see `override`, which decides. Idempotent. */
  override(request: OverrideRequest): Promise<Overridden>;
  /** The overrides of all pools that have any, configured or not. */
  overrides(): Promise<ReadonlyMap<string, PoolOverrides>>;
  /**
   * The latest time that a call which may write has brought as its own (`now`, `submittedAt`, `finishedAt`), also before the store was
   * opened; 0: none. It is as durable as what was written with it; after a crash it may be `latestKeptMs` older than the
   * last call that wrote nothing.
   */
  latest(): Promise<number>;
  /** Notifies the listener of what happens in the store, until the returned function is called. */
  subscribe(listener: HintListener): () => void;
  /** Whether other processes may use the same store now: then no process can count its jobs alone. */
  readonly isShared: boolean;
  /** How much of the disk the store takes. What is free in it may go back to the disk whenever no call is under way. */
  size(): Promise<StoreSize>;
  /** Finishes what was asked for before, then lets go of every file and thread. Safe to repeat. */
  close(): Promise<void>;
};

/** What of a store is asked and answered. */
export type StoreCalls = Omit<Store, "subscribe" | "isShared">;

/** How often a store that has nothing else to write still writes down what time it is. */
export const latestKeptMs = 60_000;

/** Milliseconds since 1970; null: there is no such job. */
export type Oldest = { readonly dueAt: number | null; readonly diedAt: number | null };
