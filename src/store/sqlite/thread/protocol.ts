/** The messages between the main thread and the store's thread. Rows are sent as columns, records as bytes. */
import type { Failure } from "../../../job/job.ts";
import type { Standing } from "../../../job/stored-job.ts";
import type {
  ExpiredLease,
  ListRequest,
  Results,
  ResultsRequest,
  Settled,
  StoreCalls,
  Submitted,
} from "../../store.ts";
import type { NumberColumns, Take, TextColumn } from "./columns.ts";

/** The states in the tables: each is its index in `states` (job/ending.ts). */
export const QUEUED = 0;
export const RUNNING = 1;
export const SUCCEEDED = 2;
export const DEAD = 3;
export const CANCELLED = 4;

/** Submitted jobs. The bytes have all ids, then for each job its record and, if it has a key, its content. */
export type SubmissionColumns = NumberColumns<"priority" | "runAt" | "expiresAt" | "submittedAt"> &
  NumberColumns<"recordBytes" | "contentBytes"> &
  Readonly<Record<"client" | "task" | "pool" | "channel", TextColumn>> & {
    /** Null: no job has one. */
    readonly key: (string | null)[] | null;
  };

/** A job that existed before. Its content is in the bytes. */
export type KnownAnswer = Omit<Extract<Submitted, { kind: "known" }>, "content"> & { readonly contentBytes: number };

/** Leased jobs. Their records are in the bytes. */
export type LeaseColumns = NumberColumns<"seq" | "attempt" | "fence" | "crashes" | "redrives" | "runAt" | "expiresAt"> &
  NumberColumns<"lastStartedAt" | "recordBytes"> & {
    /** The failures of damaged jobs, by index. */
    readonly damage: Map<number, Failure>;
  };

/** The holder of an expired lease. */
export type Holder = Pick<ExpiredLease, "owner" | "isOwnerGone" | "isCancelling">;

/** Settlements. Their endings are in the bytes. `isPast`: 1 if the ending is added to the history. */
export type SettlementColumns = NumberColumns<"seq" | "fence" | "state" | "attempt" | "crashes" | "runAt"> &
  NumberColumns<"startedAt" | "finishedAt" | "deadReason" | "isPast" | "endingBytes">;

/** A job. Its record (in a list possibly without the input), its result and its history are in the bytes. */
export type StoredAnswer = {
  readonly standing: Standing;
  readonly recordBytes: number;
  /** Null: it has no result, or a list omits it. */
  readonly endingBytes: number | null;
  /** In a list at most the newest entry, and only for a job that is not final. */
  readonly historyBytes: number[];
  /** The failure to show if the job is damaged. */
  readonly damage: Failure | null;
};

/** Calls that are sent unchanged. */
export const plainCalls = [
  ...(["extend", "recover", "states", "cancel", "redrive", "remove", "find", "ahead", "ack", "prune"] as const),
  ...(["counts", "latest", "size", "eligible", "oldest", "override", "overrides"] as const),
] as const;
type PlainCalls = {
  [K in (typeof plainCalls)[number]]: {
    request: Parameters<StoreCalls[K]>[0];
    answer: Awaited<ReturnType<StoreCalls[K]>>;
  };
};
type Asked<K extends keyof StoreCalls> = Parameters<StoreCalls[K]>[0];

/** The request and answer of each call as they are sent. */
export type Calls = PlainCalls & {
  /** Only jobs that were not accepted, by index. */
  submit: { request: SubmissionColumns; answer: Map<number, Exclude<Submitted, { kind: "known" }> | KnownAnswer> };
  lease: { request: Asked<"lease">; answer: { leases: LeaseColumns; nextDueAt: number | null } };
  /** Only settlements that were not written, by index. */
  settle: { request: SettlementColumns; answer: Map<number, Settled> };
  expired: { request: Asked<"expired">; answer: { leases: LeaseColumns; holders: Holder[] } };
  /** The endings are in the bytes. */
  results: {
    request: ResultsRequest;
    answer: Omit<Results, "results"> & { cursors: number[]; endingBytes: number[] };
  };
  get: { request: Asked<"get">; answer: StoredAnswer | null };
  list: { request: ListRequest; answer: { jobs: StoredAnswer[]; nextSeq: number | null } };
};
export type Call = keyof Calls;
/** The functions that answer calls: they take the payloads of the request, and add those of the answer to `output`. */
export type Verbs = {
  [K in Call]: (request: Calls[K]["request"], take: Take, output: Uint8Array[]) => Calls[K]["answer"];
};
export type Command = { [K in Call]: { readonly call: K; readonly request: Calls[K]["request"] } }[Call];

/** Commands that take effect in order and are answered together. `bytes`: their payloads, concatenated. */
export type Batch = { readonly commands: readonly Command[]; readonly bytes: Uint8Array<ArrayBuffer> };
export type Answers = {
  readonly answers: readonly unknown[];
  /** The payloads of each answer, in a buffer of its own, so that keeping one does not keep the others in memory. */
  readonly bytes: readonly (Uint8Array<ArrayBuffer> | null)[];
  /** The transaction, if it wrote anything. If several batches share it, only the first has it. */
  readonly commit?: Commit;
};
/** A transaction: the time until it was durable, and the number of calls that shared it. */
export type Commit = { readonly tookMs: number; readonly calls: number };

/** Messages to the store's thread. */
export type ToThread = Batch | "close";
/** The versions of a store before and after its upgrade. */
export type Upgrade = { readonly from: number; readonly to: number; readonly tookMs: number };
/**
 * Messages from the store's thread: first `ready` or `refused`, preceded by `upgraded` if the store had an older
 * version; then answers in the order of the batches, `failed` at most once, and in between `damaged` for each damage.
 */
export type FromThread =
  | Answers
  | { readonly refused: string }
  | { readonly failed: string }
  | { readonly damaged: string }
  | { readonly upgraded: Upgrade }
  | "ready";
