/**
 * The one encoding of a job: what was submitted, and how its attempts ended, each as one record of bytes.
 *
 * Records are encoded once, in the main thread, where a job enters and where its outcome is settled, and decoded once,
 * where they are used: the head of a job when it is leased, its input in the thread that runs it, its result when it is
 * delivered. Stores keep and return the bytes, and hold beside them only the columns that they find, order or change jobs by.
 *
 * A record is a protobuf message that ends with a CRC-32 over what comes before it. A field that is not known is passed over,
 * and one that is missing has its default, so that a new field needs no migration: it takes the next number of its message,
 * in the function that writes it and in the one below that reads it. Numbers are never used twice.
 */
import { createHash } from "node:crypto";
import type {
  Ending,
  Failure,
  FinalState,
  JobState,
  Labels,
  Lease,
  NewJob,
  Outcome,
  PastAttempt,
  Payload,
  RetryChanges,
  StoredJob,
  StoredResult,
  WholeJob,
} from "./job.ts";
import { isFinal, noLabels } from "./job.ts";
import { WireReader, WireWriter } from "./wire.ts";

const writer = new WireWriter();

/** Where a record's input begins at the latest: who shows a job without it need not read more. */
export const headBytes = 16 * 1024;

/** What was submitted. */
export function encodeJob(job: NewJob): Uint8Array<ArrayBuffer> {
  writer.begin();
  writeKind(job);
  writer.uuid(2, job.id);
  writer.double(3, job.submittedAt);
  writer.double(4, job.runAt);
  if (job.expiresAt !== null) writer.double(5, job.expiresAt);
  if (job.idempotencyKey !== null) writer.string(6, job.idempotencyKey);
  writeLabels(7, job.labels);
  if (job.trace !== null) writer.string(8, job.trace);
  writePayload(11, job.input);
  return writer.end();
}

/** What an idempotency key remembers of its job: what makes another submit the same, with a digest in place of the input. */
export function encodeContent(job: NewJob): Uint8Array<ArrayBuffer> {
  writer.begin();
  writeKind(job);
  writeLabels(7, job.labels);
  if (job.input) writer.bytes(9, digestOf(job.input));
  return writer.end();
}

export type DecodedJob = NewJob & {
  /** In place of the input, in what an idempotency key remembers. */
  readonly inputDigest: Uint8Array | null;
};

/** All that read a record trust it: whether it is sound is asked where it was read from a disk. The input is a view of the record. */
export function decodeJob(record: Uint8Array): DecodedJob {
  const { kind, ...head } = readHead(record);
  return { ...kind, ...head };
}

/** Which attempt of a job it is, and what of the job has changed since it was submitted. */
export type LeaseColumns = Pick<
  Lease,
  "seq" | "attempt" | "fence" | "crashes" | "redrives" | "runAt" | "expiresAt" | "startedAt" | "isCancelling"
>;

/** Leaves the input in the record. */
export function decodeLease(record: Uint8Array, columns: LeaseColumns): Lease {
  const { kind, id, submittedAt, trace, idempotencyKey, labels } = readHead(record);
  return {
    id,
    client: kind.client,
    task: kind.task,
    pool: kind.pool,
    channel: kind.channel,
    maxAttempts: kind.maxAttempts,
    priority: kind.priority,
    runAt: columns.runAt,
    expiresAt: columns.expiresAt,
    submittedAt,
    trace,
    idempotencyKey,
    labels,
    timeoutMs: kind.timeoutMs,
    retry: kind.retry,
    record,
    seq: columns.seq,
    attempt: columns.attempt,
    fence: columns.fence,
    crashes: columns.crashes,
    redrives: columns.redrives,
    startedAt: columns.startedAt,
    isCancelling: columns.isCancelling,
  };
}

/** What many jobs have in common: it comes first in a record, and is decoded once for all that have the same. */
type Kind = Pick<NewJob, "client" | "task" | "pool" | "channel" | "maxAttempts" | "priority" | "timeoutMs" | "retry">;

function writeKind({ client, task, pool, channel, maxAttempts, priority, timeoutMs, retry }: Kind): void {
  const begun = writer.beginMessage(1);
  writer.string(1, client);
  writer.string(2, task);
  writer.string(3, pool);
  if (channel !== null) writer.string(4, channel);
  writer.uint(5, maxAttempts);
  if (priority !== 0) writer.double(6, priority);
  if (timeoutMs !== null) writer.double(7, timeoutMs);
  if (retry !== null) writeRetry(8, retry);
  writer.endMessage(begun);
}

const kinds = new Map<string, Kind>();
const maxKinds = 1_000;

function readKind(message: Buffer): Kind {
  const key = message.toString("latin1");
  const known = kinds.get(key);
  if (known) return known;
  const kind: { -readonly [K in keyof Kind]: Kind[K] } = {
    ...{ client: "", task: "", pool: "", channel: null, maxAttempts: 1, priority: 0, timeoutMs: null, retry: null },
  };
  const reader = new WireReader(message);
  for (let field = reader.next(); field !== 0; field = reader.next()) {
    if (field === 1) kind.client = reader.string();
    else if (field === 2) kind.task = reader.string();
    else if (field === 3) kind.pool = reader.string();
    else if (field === 4) kind.channel = reader.string();
    else if (field === 5) kind.maxAttempts = reader.uint();
    else if (field === 6) kind.priority = reader.double();
    else if (field === 7) kind.timeoutMs = reader.double();
    else if (field === 8) kind.retry = readRetry(reader.bytes());
    else reader.skip();
  }
  if (kinds.size >= maxKinds) kinds.clear();
  kinds.set(key, kind);
  return kind;
}

type Head = Pick<DecodedJob, "id" | "submittedAt" | "runAt" | "expiresAt" | "trace" | "idempotencyKey" | "labels"> &
  Pick<DecodedJob, "input" | "inputDigest"> & { readonly kind: Kind };

function readHead(record: Uint8Array): Head {
  const reader = new WireReader(record);
  let kind: Kind | undefined;
  let id = "";
  let submittedAt = 0;
  let runAt = 0;
  let expiresAt: number | null = null;
  let trace: string | null = null;
  let idempotencyKey: string | null = null;
  let labels = noLabels;
  let inputDigest: Uint8Array | null = null;
  let inputKind = -1;
  let inputType = "";
  let inputBytes: Uint8Array = noBytes;
  for (let field = reader.next(); field !== 0; field = reader.next()) {
    if (field === 1) kind = readKind(reader.bytes());
    else if (field === 2) id = reader.uuid();
    else if (field === 3) submittedAt = reader.double();
    else if (field === 4) runAt = reader.double();
    else if (field === 5) expiresAt = reader.double();
    else if (field === 6) idempotencyKey = reader.string();
    else if (field === 7) labels = withLabel(labels, reader.bytes());
    else if (field === 8) trace = reader.string();
    else if (field === 9) inputDigest = reader.view();
    else if (field === 11) inputKind = reader.uint();
    else if (field === 12) inputType = reader.string();
    else if (field === 13) inputBytes = reader.view();
    else reader.skip();
  }
  const input = payloadOf(inputKind, inputType, inputBytes);
  kind ??= readKind(Buffer.alloc(0));
  return { kind, id, submittedAt, runAt, expiresAt, trace, idempotencyKey, labels, input, inputDigest };
}

/** Whose attempt it is. */
export type Subject = Pick<NewJob, "id" | "task" | "labels" | "submittedAt"> & { readonly redrives: number };

/**
 * How an attempt ended, and what the job became of it: the job's result when it is final, and a line of its history when the attempt
 * did not succeed.
 */
export function encodeEnding(job: Subject, ending: Ending): Uint8Array<ArrayBuffer> {
  const { startedAt, deadReason, failure, ended } = ending;
  writer.begin();
  writer.uuid(1, job.id);
  writer.string(2, job.task);
  writer.double(3, job.submittedAt);
  writeLabels(4, job.labels);
  writer.uint(5, states.indexOf(ending.state));
  writer.uint(6, ending.attempt);
  if (job.redrives !== 0) writer.uint(7, job.redrives);
  if (startedAt !== null) writer.double(8, startedAt);
  writer.double(9, ending.finishedAt);
  if (deadReason !== null) writer.uint(10, deadReasons.indexOf(deadReason));
  writePayload(11, ending.output);
  if (failure !== null) {
    const begun = writer.beginMessage(14);
    writer.uint(1, ended.number);
    writer.uint(2, outcomes.indexOf(ending.outcome));
    if (ended.startedAt !== null) writer.double(3, ended.startedAt);
    writeFailure(4, failure);
    writer.endMessage(begun);
  }
  return writer.end();
}

/** A final job's ending as its channel delivers it. */
export function decodeResult(ending: Uint8Array, cursor: number): StoredResult {
  const read = readEnding(ending);
  return {
    cursor,
    id: read.id,
    task: read.task,
    state: read.state as FinalState,
    output: read.output,
    failure: read.failure,
    deadReason: read.deadReason,
    attempts: read.attempts,
    redrives: read.redrives,
    labels: read.labels,
    submittedAt: read.submittedAt,
    startedAt: read.startedAt,
    finishedAt: read.finishedAt,
  };
}

/** The ending of an attempt that did not succeed as a line of the job's history. */
export function decodePast(ending: Uint8Array): PastAttempt {
  const { attempt, failure, finishedAt } = readEnding(ending);
  const { number, outcome, startedAt } = attempt;
  return { attempt: number, outcome, failure: failure as Failure, startedAt, finishedAt };
}

type Attempt = { readonly number: number; readonly outcome: Outcome["kind"]; readonly startedAt: number | null };
type DecodedEnding = Omit<StoredResult, "cursor" | "state"> & { readonly state: JobState; readonly attempt: Attempt };

function readEnding(ending: Uint8Array): DecodedEnding {
  const reader = new WireReader(ending);
  let id = "";
  let task = "";
  let submittedAt = 0;
  let labels = noLabels;
  let state = 0;
  let attempts = 0;
  let redrives = 0;
  let startedAt: number | null = null;
  let finishedAt = 0;
  let deadReason: StoredResult["deadReason"] = null;
  let outputKind = -1;
  let outputType = "";
  let outputBytes: Uint8Array = noBytes;
  let failed: ReturnType<typeof readFailed> | undefined;
  for (let field = reader.next(); field !== 0; field = reader.next()) {
    if (field === 1) id = reader.uuid();
    else if (field === 2) task = reader.string();
    else if (field === 3) submittedAt = reader.double();
    else if (field === 4) labels = withLabel(labels, reader.bytes());
    else if (field === 5) state = reader.uint();
    else if (field === 6) attempts = reader.uint();
    else if (field === 7) redrives = reader.uint();
    else if (field === 8) startedAt = reader.double();
    else if (field === 9) finishedAt = reader.double();
    else if (field === 10) deadReason = deadReasons[reader.uint()] ?? null;
    else if (field === 11) outputKind = reader.uint();
    else if (field === 12) outputType = reader.string();
    else if (field === 13) outputBytes = reader.view();
    else if (field === 14) failed = readFailed(reader.bytes());
    else reader.skip();
  }
  return {
    id,
    task,
    state: states[state] as JobState,
    output: payloadOf(outputKind, outputType, outputBytes),
    failure: failed?.failure ?? null,
    deadReason,
    attempts,
    redrives,
    labels,
    submittedAt,
    startedAt,
    finishedAt,
    attempt: failed?.attempt ?? { number: attempts, outcome: "succeeded", startedAt },
  };
}

function readFailed(message: Buffer): { readonly attempt: Attempt; readonly failure: Failure } {
  const reader = new WireReader(message);
  const attempt: { -readonly [K in keyof Attempt]: Attempt[K] } = { number: 0, outcome: "failed", startedAt: null };
  let failure: Failure = { reason: "", message: "", retryable: false };
  for (let field = reader.next(); field !== 0; field = reader.next()) {
    if (field === 1) attempt.number = reader.uint();
    else if (field === 2) attempt.outcome = outcomes[reader.uint()] ?? "failed";
    else if (field === 3) attempt.startedAt = reader.double();
    else if (field === 4) failure = readFailure(reader.bytes());
    else reader.skip();
  }
  return { attempt, failure };
}

/** The lease of a job whose record is damaged, made of what the store's columns say of it. */
export function damagedLease(
  job: Pick<NewJob, "id" | "client" | "task" | "pool" | "channel" | "submittedAt">,
  columns: LeaseColumns,
  damage: Failure,
): Lease {
  return {
    ...{
      maxAttempts: 1,
      priority: 0,
      trace: null,
      idempotencyKey: null,
      labels: noLabels,
      timeoutMs: null,
      retry: null,
    },
    ...job,
    ...columns,
    ...{ record: noBytes, damage },
  };
}

/** Where a job stands: what a store holds of it in columns. */
export type Standing = Pick<
  StoredJob,
  | ("seq" | "state" | "isCancelling" | "attempts" | "crashes" | "runAt" | "expiresAt")
  | ("startedAt" | "finishedAt" | "redrives" | "cursor")
>;

/**
 * A job as the store knows it, its output left out. `ending`: its result, or while it is not final the newest line of its history; null when it
 * has neither.
 */
export function decodeStored(record: Uint8Array, standing: Standing, ending: Uint8Array | null): StoredJob {
  const { kind, id, submittedAt, idempotencyKey, labels } = readHead(record);
  const { client, task, pool, channel, maxAttempts, priority, timeoutMs } = kind;
  const { failure, deadReason } = ending && showsEnding(standing) ? readEnding(ending) : nothingEnded;
  return {
    ...{ id, client, task, pool, channel, maxAttempts, priority, submittedAt, idempotencyKey, labels, timeoutMs },
    ...standing,
    ...{ output: null, failure, deadReason: isFinal(standing.state) ? deadReason : null },
  };
}

/** `result`: null while it is not final. `history`: endings of its attempts, oldest first. */
export function decodeWhole(
  record: Uint8Array,
  standing: Standing,
  result: Uint8Array | null,
  history: readonly Uint8Array[],
): WholeJob {
  return {
    ...decodeStored(record, standing, result ?? history.at(-1) ?? null),
    input: readHead(record).input,
    output: result && readEnding(result).output,
    history: history.map(decodePast),
  };
}

const nothingEnded = { failure: null, deadReason: null };

/** Endings before a redrive are in the history only. */
function showsEnding({ state, attempts }: Standing): boolean {
  return isFinal(state) || attempts - (state === "RUNNING" ? 1 : 0) > 0;
}

// what both have

/** As they are written: by their place. */
const states = ["QUEUED", "RUNNING", "SUCCEEDED", "DEAD", "CANCELLED"] as const satisfies readonly JobState[];
const deadReasons = ["exhausted", "permanent", "expired", "poison"] as const;
const outcomes = ["succeeded", "failed", "timed_out", "lost", "released", "cancelled", "expired"] as const;
const payloadKinds = ["message", "json", "data"] as const satisfies readonly Payload["kind"][];
const jitters = ["full", "none"] as const;

const noBytes = new Uint8Array();

/** Takes this field number and the next two. */
function writePayload(field: number, payload: Payload | null): void {
  if (payload === null) return;
  writer.uint(field, payloadKinds.indexOf(payload.kind));
  if (payload.type !== "") writer.string(field + 1, payload.type);
  writer.bytes(field + 2, payload.bytes);
}

function payloadOf(kind: number, type: string, bytes: Uint8Array): Payload | null {
  const name = payloadKinds[kind];
  return name === undefined ? null : { kind: name, type, bytes };
}

/** What stands for an input that is not kept. */
export function digestOf({ kind, type, bytes }: Payload): Uint8Array {
  return createHash("sha256").update(`${kind}\n${type}\n`).update(bytes).digest();
}

function writeLabels(field: number, labels: Labels): void {
  for (const name in labels) {
    const begun = writer.beginMessage(field);
    writer.string(1, name);
    writer.string(2, labels[name] as string);
    writer.endMessage(begun);
  }
}

function withLabel(labels: Labels, message: Buffer): Labels {
  const reader = new WireReader(message);
  let name = "";
  let value = "";
  for (let field = reader.next(); field !== 0; field = reader.next()) {
    if (field === 1) name = reader.string();
    else if (field === 2) value = reader.string();
    else reader.skip();
  }
  return { ...labels, [name]: value };
}

function writeRetry(field: number, { baseMs, factor, maxBackoffMs, jitter }: RetryChanges): void {
  const begun = writer.beginMessage(field);
  if (baseMs !== undefined) writer.double(1, baseMs);
  if (factor !== undefined) writer.double(2, factor);
  if (maxBackoffMs !== undefined) writer.double(3, maxBackoffMs);
  if (jitter !== undefined) writer.uint(4, jitters.indexOf(jitter));
  writer.endMessage(begun);
}

function readRetry(message: Buffer): RetryChanges {
  const reader = new WireReader(message);
  const retry: { -readonly [K in keyof RetryChanges]: RetryChanges[K] } = {};
  for (let field = reader.next(); field !== 0; field = reader.next()) {
    if (field === 1) retry.baseMs = reader.double();
    else if (field === 2) retry.factor = reader.double();
    else if (field === 3) retry.maxBackoffMs = reader.double();
    else if (field === 4) retry.jitter = jitters[reader.uint()] ?? "full";
    else reader.skip();
  }
  return retry;
}

function writeFailure(field: number, failure: Failure): void {
  const begun = writer.beginMessage(field);
  writer.string(1, failure.reason);
  writer.string(2, failure.message);
  if (failure.retryable) writer.uint(3, 1);
  if (failure.retryAfterMs !== undefined) writer.double(4, failure.retryAfterMs);
  if (failure.details !== undefined) writer.string(5, JSON.stringify(failure.details));
  if (failure.stack !== undefined) writer.string(6, failure.stack);
  writer.endMessage(begun);
}

function readFailure(message: Buffer): Failure {
  const reader = new WireReader(message);
  const failure: { -readonly [K in keyof Failure]: Failure[K] } = { reason: "", message: "", retryable: false };
  for (let field = reader.next(); field !== 0; field = reader.next()) {
    if (field === 1) failure.reason = reader.string();
    else if (field === 2) failure.message = reader.string();
    else if (field === 3) failure.retryable = reader.uint() === 1;
    else if (field === 4) failure.retryAfterMs = reader.double();
    else if (field === 5) failure.details = JSON.parse(reader.string()) as NonNullable<Failure["details"]>;
    else if (field === 6) failure.stack = reader.string();
    else reader.skip();
  }
  return failure;
}
