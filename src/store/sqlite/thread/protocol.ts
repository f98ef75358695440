/** The messages between the server's thread and the store's. Rows travel as columns, records as bytes. */
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

/** The states as the tables have them: each by its place in `states` (job/ending.ts). */
export const QUEUED = 0;
export const RUNNING = 1;
export const SUCCEEDED = 2;
export const DEAD = 3;
export const CANCELLED = 4;

/** What is submitted. All ids, then of each job its record and, where it has a key, its content follow in the bytes. */
export type SubmissionColumns = NumberColumns<"priority" | "runAt" | "expiresAt" | "submittedAt"> &
  NumberColumns<"recordBytes" | "contentBytes"> &
  Readonly<Record<"client" | "task" | "pool" | "channel", TextColumn>> & {
    /** Null: none of them has one. */
    readonly key: (string | null)[] | null;
  };

/** A job that was there before. Its content follows in the bytes. */
export type KnownAnswer = Omit<Extract<Submitted, { kind: "known" }>, "content"> & { readonly contentBytes: number };

/** What is leased. Their records follow in the bytes. */
export type LeaseColumns = NumberColumns<"seq" | "attempt" | "fence" | "crashes" | "redrives" | "runAt" | "expiresAt"> &
  NumberColumns<"lastStartedAt" | "recordBytes"> & {
    /** By their place, jobs of which something is not what was written, and the failure that names it. */
    readonly damage: Map<number, Failure>;
  };

/** Who holds, or held, an expired lease. */
export type Holder = Pick<ExpiredLease, "owner" | "isOwnerGone" | "isCancelling">;

/** How attempts ended. Their endings follow in the bytes. `isPast`: 1 where the ending goes into the history. */
export type SettlementColumns = NumberColumns<"seq" | "fence" | "state" | "attempt" | "crashes" | "runAt"> &
  NumberColumns<"startedAt" | "finishedAt" | "deadReason" | "isPast" | "endingBytes">;

/** A job. Its record, in a list perhaps without the input, its result and its history follow in the bytes. */
export type StoredAnswer = {
  readonly standing: Standing;
  readonly recordBytes: number;
  /** Null: it has no result, or a list leaves it out. */
  readonly endingBytes: number | null;
  /** In a list the newest line at most, of a job that is not final. */
  readonly historyBytes: number[];
  /** The failure that it shows when something of it is not what was written. */
  readonly damage: Failure | null;
};

/** Calls that cross as the port has them. */
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

/** Each call's request and answer as they cross. */
export type Calls = PlainCalls & {
  /** Only what was not accepted. */
  submit: { request: SubmissionColumns; answer: Map<number, Exclude<Submitted, { kind: "known" }> | KnownAnswer> };
  lease: { request: Asked<"lease">; answer: { leases: LeaseColumns; nextDueAt: number | null } };
  /** Only what was not written. */
  settle: { request: SettlementColumns; answer: Map<number, Settled> };
  expired: { request: Asked<"expired">; answer: { leases: LeaseColumns; holders: Holder[] } };
  /** The endings follow in the bytes. */
  results: {
    request: ResultsRequest;
    answer: Omit<Results, "results"> & { cursors: number[]; endingBytes: number[] };
  };
  get: { request: Asked<"get">; answer: StoredAnswer | null };
  list: { request: ListRequest; answer: { jobs: StoredAnswer[]; nextSeq: number | null } };
};
export type Call = keyof Calls;
/** What answers calls: takes the payloads behind a request, and puts those of its answer into `output`. */
export type Verbs = {
  [K in Call]: (request: Calls[K]["request"], take: Take, output: Uint8Array[]) => Calls[K]["answer"];
};
export type Command = { [K in Call]: { readonly call: K; readonly request: Calls[K]["request"] } }[Call];

/** Commands that take effect in order, and are answered together. `bytes`: their records, end to end. */
export type Batch = { readonly commands: readonly Command[]; readonly bytes: Uint8Array<ArrayBuffer> };
export type Answers = {
  readonly answers: readonly unknown[];
  /** Of each command what follows its answer: one that is kept does not keep those of the others. */
  readonly bytes: readonly (Uint8Array<ArrayBuffer> | null)[];
  /** The transaction that they share with the next ones, if it wrote anything; with the first of them only. */
  readonly commit?: Commit;
};
/** A transaction: how long it took until it was durable, and how many calls shared it. */
export type Commit = { readonly tookMs: number; readonly calls: number };

/** Messages to the store's thread. */
export type ToThread = Batch | "close";
/** The versions of a store before and after its upgrade. */
export type Upgrade = { readonly from: number; readonly to: number; readonly tookMs: number };
/**
 * Messages from it: first `ready` or `refused`, and before that `upgraded` when the store was of an older version; then answers
 * in the order of the batches, `failed` at most once, and in between what it found `damaged`.
 */
export type FromThread =
  | Answers
  | { readonly refused: string }
  | { readonly failed: string }
  | { readonly damaged: string }
  | { readonly upgraded: Upgrade }
  | "ready";
