import type { RetryPolicy } from "./backoff.ts";

/** Where a job stands. A job that waits for its time or for a retry is QUEUED with `runAt` in the future. */
export type JobState = "QUEUED" | "RUNNING" | "SUCCEEDED" | "DEAD" | "CANCELLED";

/** The states that never change again. */
export type FinalState = Exclude<JobState, "QUEUED" | "RUNNING">;

export function isFinal(state: JobState): state is FinalState {
  return state !== "QUEUED" && state !== "RUNNING";
}

/**
 * What a job takes in or gives out, encoded. `message`: protobuf bytes of the named type; `json`: UTF-8 JSON text;
 * `data`: as the user gave it. `bytes` may be a view of a larger buffer: who keeps it longer than a call copies it.
 */
export type Payload = {
  readonly kind: "message" | "json" | "data";
  /** Full name of the message type, such as `millpond.tasks.v1.SleepInput`; empty unless `kind` is `message`. */
  readonly type: string;
  readonly bytes: Uint8Array;
};

/** Why a job is DEAD: see job/transition.ts. */
export type DeadReason = "exhausted" | "permanent" | "expired" | "poison";

/** The client's own names for a job. At most 16; names and values are bounded by engine/admit/draft.ts. */
export type Labels = { readonly [name: string]: string };

export type JsonValue = null | boolean | number | string | JsonValue[] | { [key: string]: JsonValue };

/** Why an attempt failed, as data: it crosses threads, is stored, and reaches the client. */
export type Failure = {
  /** Stable word for programs, at most 64 characters of [a-z0-9_]. */
  readonly reason: string;
  /** One sentence for people, at most 4096 characters; the last shows that it was cut. */
  readonly message: string;
  /** Whether the same job might succeed another time. */
  readonly retryable: boolean;
  /** The delay that the task asks for before the next attempt; absent: the policy's backoff. */
  readonly retryAfterMs?: number;
  /** At most 16384 characters as JSON, give or take the markers of what was cut. */
  readonly details?: { [key: string]: JsonValue };
  /** Where it was thrown, and where its causes were: lines of at most 2000 characters in all. Absent: unknown. */
  readonly stack?: string;
};

/** A job on its way into the store. Times are milliseconds since 1970. */
export type NewJob = {
  /** UUID in its lower-case 36-character form; unique among all clients. */
  readonly id: string;
  readonly client: string;
  readonly task: string;
  readonly pool: string;
  /** Null: the result goes to no channel. */
  readonly channel: string | null;
  readonly input: Payload | null;
  /** 1..100. */
  readonly maxAttempts: number;
  /** -100..100; of two due jobs of a pool the higher one is leased first. */
  readonly priority: number;
  /** Not leased before this time. */
  readonly runAt: number;
  /** No attempt starts after this time, and none goes on beyond it. Null: no deadline. */
  readonly expiresAt: number | null;
  readonly submittedAt: number;
  /** The trace that it belongs to, as `storedTrace` writes it; stores do not read it. Null: one of its own. */
  readonly trace: string | null;
  /** The client's own name for the job, remembered for `idempotencyMs`. */
  readonly idempotencyKey: string | null;
  readonly labels: Labels;
  /** The client's own text about the job; empty: none. Nothing here reads it. */
  readonly memo: string;
  /** Bound on one attempt, in place of the task's. Null: the task's. */
  readonly timeoutMs: number | null;
  /** What differs from the task's policy; `maxAttempts` is a field of its own. Null: nothing, as of most. */
  readonly retry: RetryChanges | null;
};

export type RetryChanges = Partial<Omit<RetryPolicy, "maxAttempts">>;

/** Of the many jobs without any. */
export const noLabels: Labels = {};

/** How long an idempotency key is remembered, from the submit on: longer than the job, if need be. */
export const idempotencyMs = 24 * 3_600_000;

/**
 * The right to run one attempt of a job. `runAt` and `expiresAt` are the job's present ones. Its input stays in the record: it is decoded
 * by the thread that runs the job.
 */
export type Lease = Omit<NewJob, "input" | "memo"> & {
  /** What was submitted, as job/record.ts encodes it; may be a view of a larger buffer. Empty when there is `damage`. */
  readonly record: Uint8Array;
  /** The store's own number of the job, growing in the order of submission; settlements name the job by it. */
  readonly seq: number;
  /** Number of this attempt, from 1. */
  readonly attempt: number;
  /** Grows with every lease of the job; a settlement with an older one is refused. */
  readonly fence: number;
  /** How many processes died while they ran this job: see `isSuspect`. */
  readonly crashes: number;
  /** How often it was put back into the queue after it was DEAD. */
  readonly redrives: number;
  /** Start of the newest attempt before this one that counts; null: there is none, or it is unknown, as of a lost one. */
  readonly startedAt: number | null;
  /** Whether it was cancelled while it ran. */
  readonly isCancelling: boolean;
  /** Set when something stored of it is not what was written: the failure of its result, instead of its being run. */
  readonly damage?: Failure;
};

/** A job is a suspect once this many server processes have died while it ran. The stores' index of suspects rests on it. */
export const suspectAfterCrashes = 2;

/**
 * Whether the job may be what killed the processes that ran it. Each attempt of a suspect runs in a process of its own,
 * so that the death of that process shows which job is to blame and takes no other job with it.
 */
export function isSuspect({ crashes }: { readonly crashes: number }): boolean {
  return crashes >= suspectAfterCrashes;
}

/** How an attempt ended. */
export type Outcome =
  | { readonly kind: "succeeded"; readonly output: Payload | null }
  | { readonly kind: "failed"; readonly failure: Failure }
  | { readonly kind: "timed_out"; readonly timeoutMs: number }
  /** How it went is unknown. `died`: the server process that ran it, beside others, did. */
  | { readonly kind: "lost"; readonly died: "server" | null }
  /** It ran in a process of its own, and that died. `how`: the name of a signal, or `exit code 3`. */
  | { readonly kind: "lost"; readonly died: "own_process"; readonly how: string }
  /** Given back before it ended, through no fault of the job: the attempt is not counted. */
  | { readonly kind: "released" }
  | { readonly kind: "cancelled" }
  /** The job's deadline passed, before the attempt began (it is not counted then) or while it ran. */
  | { readonly kind: "expired"; readonly hasStarted: boolean };

/**
 * What becomes of a job whose attempt ended. It applies only while the job is RUNNING with this fence. A store writes
 * what is its own and gets the rest encoded: see `encodeEnding`.
 */
export type Settlement = {
  readonly seq: number;
  readonly fence: number;
  /** Whose job it is and where it waits or delivers, for those who are notified of it: no driver goes by these. */
  readonly id: string;
  readonly client: string;
  readonly pool: string;
  readonly channel: string | null;
  readonly outcome: Outcome["kind"];
  readonly state: Exclude<JobState, "RUNNING">;
  /** Set only when DEAD. */
  readonly deadReason: DeadReason | null;
  /** Attempts counted from now on. */
  readonly attempt: number;
  readonly crashes: number;
  /** When the job may be leased again; matters only when QUEUED. */
  readonly runAt: number;
  readonly output: Payload | null;
  /** Why the attempt failed, for its result, and for the job's history when it is tried again. Null of one that was given back. */
  readonly failure: Failure | null;
  /** Start of the newest attempt that counts; null when none does, and when it is unknown, as for a lost one. */
  readonly startedAt: number | null;
  readonly finishedAt: number;
  /** The attempt itself, for the history. */
  readonly ended: {
    readonly number: number;
    /** Null when it never began (it is not counted then), and when it is unknown. */
    readonly startedAt: number | null;
  };
};

/** The part of a settlement that describes the ending, whosever job it is. */
export type Ending = Omit<Settlement, "seq" | "fence" | "id" | "client" | "pool" | "channel">;

/** One attempt that did not succeed, as the job's history keeps it. */
export type PastAttempt = {
  /** From 1; starts again at 1 when the job is redriven. */
  readonly attempt: number;
  readonly outcome: Outcome["kind"];
  readonly failure: Failure;
  /** Null when it never began, and when it is unknown, as for a lost one. */
  readonly startedAt: number | null;
  readonly finishedAt: number;
};

/** A job's history keeps the newest of its attempts, at most this many. */
export const maxHistory = 100;

/** A final job as its channel delivers it. */
export type StoredResult = {
  /** Position in the channel, from 1. */
  readonly cursor: number;
  readonly id: string;
  readonly task: string;
  readonly state: FinalState;
  readonly output: Payload | null;
  readonly failure: Failure | null;
  readonly deadReason: DeadReason | null;
  readonly attempts: number;
  readonly redrives: number;
  readonly labels: Labels;
  readonly submittedAt: number;
  /** Start of the last attempt; null when the job never ran, and when it is unknown, as for a lost one. */
  readonly startedAt: number | null;
  readonly finishedAt: number;
};

/** A job as the store knows it: what was submitted, and where it stands now. */
export type StoredJob = Omit<NewJob, "input" | "trace" | "retry"> & {
  readonly seq: number;
  readonly state: JobState;
  readonly isCancelling: boolean;
  readonly attempts: number;
  readonly crashes: number;
  readonly startedAt: number | null;
  readonly finishedAt: number | null;
  readonly redrives: number;
  readonly output: Payload | null;
  readonly failure: Failure | null;
  readonly deadReason: DeadReason | null;
  /** Position in the channel; null until final, and for a job without a channel. */
  readonly cursor: number | null;
};

/** A job with all that is known of it. */
export type WholeJob = StoredJob & {
  readonly input: Payload | null;
  /** Attempts that did not succeed, oldest first, those before a redrive too. */
  readonly history: readonly PastAttempt[];
};
