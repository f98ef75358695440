import type { RetryPolicy } from "./backoff.ts";

/** The state of a job. One that waits for its time or for a retry is QUEUED with `runAt` in the future. */
export type JobState = "QUEUED" | "RUNNING" | "SUCCEEDED" | "DEAD" | "CANCELLED";

/** The states that never change again. */
export type FinalState = Exclude<JobState, "QUEUED" | "RUNNING">;

export function isFinal(state: JobState): state is FinalState {
  return state !== "QUEUED" && state !== "RUNNING";
}

/**
 * The encoded input or output of a job. `message`: protobuf bytes of the named type; `json`: UTF-8 JSON text; `data`:
 * bytes of the user. `bytes` may be a view of a larger buffer: code that keeps it longer than a call copies it.
 */
export type Payload = {
  readonly kind: "message" | "json" | "data";
  /** Full name of the message type, such as `millpond.tasks.v1.SleepInput`; empty unless `kind` is `message`. */
  readonly type: string;
  readonly bytes: Uint8Array;
};

/** Why a job is DEAD: see job/transition.ts. */
export type DeadReason = "exhausted" | "permanent" | "expired" | "poison";

/** The client's labels of a job. At most 16; names and values are bounded by engine/admit/draft-names.ts. */
export type Labels = { readonly [name: string]: string };

export type JsonValue = null | boolean | number | string | JsonValue[] | { [key: string]: JsonValue };

/** Why an attempt failed, as plain data: it is sent between threads, stored, and shown to the client. */
export type Failure = {
  /** Stable identifier for programs, at most 64 characters of [a-z0-9_]. */
  readonly reason: string;
  /** One sentence for people, at most 4096 characters; a truncated one ends with an ellipsis. */
  readonly message: string;
  /** Whether a retry may succeed. */
  readonly retryable: boolean;
  /** The delay that the task requests before the next attempt; absent: the policy's backoff. */
  readonly retryAfterMs?: number;
  /** At most 16384 characters as JSON, not counting the markers of truncated parts. */
  readonly details?: { [key: string]: JsonValue };
  /** Stacks of the error and its causes: at most 2000 characters in total. Absent: unknown. */
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
  /** -100..100; of two due jobs of a pool the one with the higher priority is leased first. */
  readonly priority: number;
  /** Not leased before this time. */
  readonly runAt: number;
  /** No attempt starts or continues after this time. Null: no deadline. */
  readonly expiresAt: number | null;
  readonly submittedAt: number;
  /** The trace that it belongs to, as written by `storedTrace`; stores do not read it. Null: a trace of its own. */
  readonly trace: string | null;
  /** The client's own name for the job, remembered for `idempotencyMs`. */
  readonly idempotencyKey: string | null;
  readonly labels: Labels;
  /** The client's text about the job, which the server does not read; empty: none. */
  readonly memo: string;
  /** Bound on one attempt, instead of the task's. Null: the task's. */
  readonly timeoutMs: number | null;
  /** Changes of the task's retry policy; `maxAttempts` is a field of its own. Null: none, like most jobs. */
  readonly retry: RetryChanges | null;
};

export type RetryChanges = Partial<Omit<RetryPolicy, "maxAttempts">>;

/** Shared by the many jobs without labels. */
export const noLabels: Labels = {};

/** How long an idempotency key is remembered after the submit, even if the job is removed earlier. */
export const idempotencyMs = 24 * 3_600_000;

/**
 * The right to run one attempt of a job. `runAt` and `expiresAt` are the current ones. The input is only in the record:
 * the thread that runs the job decodes it.
 */
export type Lease = Omit<NewJob, "input" | "memo"> & {
  /** The submitted job as encoded by job/record.ts; may be a view of a larger buffer. Empty if there is `damage`. */
  readonly record: Uint8Array;
  /** The store's number of the job, increasing in the order of submission; settlements identify the job by it. */
  readonly seq: number;
  /** Number of this attempt, from 1. */
  readonly attempt: number;
  /** Increases with every lease of the job; a settlement with an older one is refused. */
  readonly fence: number;
  /** Number of processes that died while they ran this job: see `isSuspect`. */
  readonly crashes: number;
  /** How often it was redriven: put back into the queue after it was DEAD. */
  readonly redrives: number;
  /**
   * Start of the newest earlier attempt that counts; null: there is none, or it is unknown because that attempt was
   * lost.
   */
  readonly startedAt: number | null;
  /** Whether it was cancelled while it ran. */
  readonly isCancelling: boolean;
  /** Set if stored data of the job is damaged: the job fails with this instead of running. */
  readonly damage?: Failure;
};

/**
 * A job is a suspect once this many server processes have died while it ran. The stores' index of suspects depends on
 * it.
 */
export const suspectAfterCrashes = 2;

/**
 * Whether the job may have killed the processes that ran it. Each attempt of a suspect runs in a process of its own, so
 * that the death of that process identifies the job to blame, and affects no other job.
 */
export function isSuspect({ crashes }: { readonly crashes: number }): boolean {
  return crashes >= suspectAfterCrashes;
}

/** How an attempt ended. */
export type Outcome =
  | { readonly kind: "succeeded"; readonly output: Payload | null }
  | { readonly kind: "failed"; readonly failure: Failure }
  | { readonly kind: "timed_out"; readonly timeoutMs: number }
  /** Its outcome is unknown. `died`: whether the server process died, which may have run other jobs, too. */
  | { readonly kind: "lost"; readonly died: "server" | null }
  /** It ran in a process of its own, which died. `how`: the name of a signal, or `exit code 3`. */
  | { readonly kind: "lost"; readonly died: "own_process"; readonly how: string }
  /** Released before its end, through no fault of the job: the attempt is not counted. */
  | { readonly kind: "released" }
  | { readonly kind: "cancelled" }
  /** The job's deadline passed, either before the attempt started, which is not counted then, or while it ran. */
  | { readonly kind: "expired"; readonly hasStarted: boolean };

/**
 * The resulting state of a job whose attempt ended. Only applies while the job is RUNNING with this fence. A store
 * writes its columns, and gets the rest encoded: see `encodeEnding`.
 */
export type Settlement = {
  readonly seq: number;
  readonly fence: number;
  /** Identify the job, its queue and its channel for hints; drivers do not use them otherwise. */
  readonly id: string;
  readonly client: string;
  readonly pool: string;
  readonly channel: string | null;
  readonly outcome: Outcome["kind"];
  readonly state: Exclude<JobState, "RUNNING">;
  /** Set only when DEAD. */
  readonly deadReason: DeadReason | null;
  /** Number of counted attempts from now on. */
  readonly attempt: number;
  readonly crashes: number;
  /** When the job may be leased again; only matters if QUEUED. */
  readonly runAt: number;
  readonly output: Payload | null;
  /**
   * Why the attempt failed, for the job's result, or its history if it is retried. Null: it succeeded, or was released.
   */
  readonly failure: Failure | null;
  /** Start of the newest attempt that counts; null: none does, or it is unknown because that attempt was lost. */
  readonly startedAt: number | null;
  readonly finishedAt: number;
  /** The attempt, for the history. */
  readonly ended: {
    readonly number: number;
    /** Null: it did not start (and is not counted), or it is unknown. */
    readonly startedAt: number | null;
  };
};

/** The part of a settlement that describes the ending, independently of the job. */
export type Ending = Omit<Settlement, "seq" | "fence" | "id" | "client" | "pool" | "channel">;

/** An entry of a job's history: an attempt that did not succeed. */
export type PastAttempt = {
  /** From 1; starts at 1 again after a redrive. */
  readonly attempt: number;
  readonly outcome: Outcome["kind"];
  readonly failure: Failure;
  /** Null: it did not start, or it is unknown because the attempt was lost. */
  readonly startedAt: number | null;
  readonly finishedAt: number;
};

/** Bound on a job's history, which keeps the newest attempts. */
export const maxHistory = 100;

/** The result of a final job. */
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
  /** Start of the last attempt; null: the job never ran, or it is unknown because that attempt was lost. */
  readonly startedAt: number | null;
  readonly finishedAt: number;
};

/** A job as stored: its content and its current state. */
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
  /** Position of its result in the channel; null until it is final, and for a job without a channel. */
  readonly cursor: number | null;
};

/** A job with all stored data. */
export type WholeJob = StoredJob & {
  readonly input: Payload | null;
  /** Attempts that did not succeed, oldest first, including those before a redrive. */
  readonly history: readonly PastAttempt[];
};
