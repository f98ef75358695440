/**
 * What the server's thread and the store's thread say to each other. Jobs travel as tuples in the order of their
 * columns: four times quicker to clone than objects.
 */
import type { DeadReason, JobState, Outcome, Payload } from "../../job/job.ts";
import type {
  AckRequest,
  ExpiredLease,
  LeaseRequest,
  ResultsRequest,
  Store,
  StoreCalls,
  StoreSize,
  Submitted,
} from "../store.ts";

/** The states as the table has them: a state's number is its place here. */
export const states = ["QUEUED", "RUNNING", "SUCCEEDED", "DEAD", "CANCELLED"] as const satisfies readonly JobState[];
export const QUEUED = 0;
export const RUNNING = 1;
export const SUCCEEDED = 2;
export const DEAD = 3;
export const CANCELLED = 4;

/** Why a job is dead, and how an attempt ended, as the tables have them. */
export const deadReasons = ["exhausted", "permanent", "expired", "poison"] as const satisfies readonly DeadReason[];
export const outcomes = [
  "succeeded",
  "failed",
  "timed_out",
  "lost",
  "released",
  "cancelled",
  "expired",
] as const satisfies readonly Outcome["kind"][];

/** The kinds of payload as the table has them. */
export const payloadKinds = ["message", "json", "data"] as const satisfies readonly Payload["kind"][];

/** A payload without its bytes, which travel apart; kind null: no payload. */
export type PayloadCells = readonly [kind: number | null, type: string | null, size: number];

/** What few jobs ask for; null for the others, since each value that crosses has its price. */
export type Wishes =
  | readonly [priority: number, expiresAt: number | null, idempotencyKey: string | null, options: string | null]
  | null;
/** What null stands for. */
export const noWishes = [0, null, null, null] as const satisfies Wishes;

export type JobCells = readonly [
  id: string,
  client: string,
  channel: string | null,
  pool: string,
  task: string,
  maxAttempts: number,
  runAt: number,
  submittedAt: number,
  trace: string | null,
  ...input: PayloadCells,
  wishes: Wishes,
];

export type LeaseCells = readonly [
  seq: number,
  attempt: number,
  fence: number,
  crashes: number,
  id: string,
  client: string,
  channel: string | null,
  pool: string,
  task: string,
  maxAttempts: number,
  runAt: number,
  submittedAt: number,
  trace: string | null,
  ...input: PayloadCells,
  wishes: Wishes,
  /** A failure as JSON: something of the job is not what was written, and its input is left out. */
  damage: string | null,
  redrives: number,
];

export type ExpiredCells = { readonly lease: LeaseCells; readonly isCancelling: boolean } & Pick<
  ExpiredLease,
  "owner" | "isOwnerGone"
>;

export type SettlementCells = readonly [
  seq: number,
  fence: number,
  state: number,
  attempt: number,
  crashes: number,
  runAt: number,
  startedAt: number | null,
  finishedAt: number,
  failure: string | null,
  ...output: PayloadCells,
  outcome: number,
  deadReason: number | null,
];

export type ResultCells = readonly [
  cursor: number,
  id: string,
  task: string,
  state: number,
  attempts: number,
  submittedAt: number,
  startedAt: number | null,
  finishedAt: number,
  failure: string | null,
  ...output: PayloadCells,
  deadReason: number | null,
  redrives: number,
  options: string | null,
];

type SameCall = Exclude<
  keyof StoreCalls,
  "submit" | "lease" | "settle" | "expired" | "results" | "ack" | "counts" | "latest" | "size" | "close"
>;
/** Calls that cross as the port has them. */
type SameCalls = { [K in SameCall]: { request: Parameters<Store[K]>[0]; answer: Awaited<ReturnType<Store[K]>> } };

/** Each call's request and answer as they cross. */
export type Calls = SameCalls & {
  /** Null stands for accepted. */
  submit: { request: readonly JobCells[]; answer: (Submitted | null)[] };
  lease: { request: LeaseRequest; answer: { leases: LeaseCells[]; nextDueAt: number | null } };
  settle: { request: readonly SettlementCells[]; answer: Awaited<ReturnType<Store["settle"]>> };
  expired: { request: Parameters<Store["expired"]>[0]; answer: ExpiredCells[] };
  results: { request: ResultsRequest; answer: { results: ResultCells[]; lastCursor: number; ackedCursor: number } };
  ack: { request: readonly AckRequest[]; answer: Awaited<ReturnType<Store["ack"]>> };
  counts: { request: null; answer: Awaited<ReturnType<Store["counts"]>> };
  latest: { request: null; answer: number };
  size: { request: null; answer: StoreSize };
};
export type Call = keyof Calls;
export type Command = { [K in Call]: { readonly call: K; readonly request: Calls[K]["request"] } }[Call];

/** Commands that take effect in order, and are answered together. `bytes`: their payloads, end to end. */
export type Batch = { readonly commands: readonly Command[]; readonly bytes: Uint8Array<ArrayBuffer> };
export type Answers = {
  readonly answers: readonly unknown[];
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** The transaction that they share with the next ones, if it wrote anything; with the first of them only. */
  readonly commit?: Commit;
};
/** A transaction: how long it took until it was durable, and how many calls shared it. */
export type Commit = { readonly tookMs: number; readonly calls: number };

/** What the store's thread may be told. */
export type ToThread = Batch | "close";
/** The versions of a store before and after its upgrade. */
export type Upgrade = { readonly from: number; readonly to: number; readonly tookMs: number };
/**
 * What it says: first `ready` or `refused`, and before that `upgraded` when the store was of an older version; then answers in the order of the batches, `failed` at most once, and in
 * between what it found `damaged`.
 */
export type FromThread =
  | Answers
  | { readonly refused: string }
  | { readonly failed: string }
  | { readonly damaged: string }
  | { readonly upgraded: Upgrade }
  | "ready";
