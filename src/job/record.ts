/**
 * The only encoding of a job: what was submitted, and how its attempts ended, are one record each.
 *
 * Records are encoded once, in the main thread, when a job is admitted and when its outcome is settled, and decoded
 * once, where they are used: the head of a job when it is leased, its input in the thread that runs it, its result when
 * it is delivered. Stores keep and return the bytes, and beside them only have the columns by which they find, order or
 * change jobs.
 *
 * A record is a protobuf message that ends with a CRC-32 of all preceding bytes. Unknown fields are skipped, and
 * missing ones have their default, so that a new field needs no migration: it takes the next number of its message, in
 * the function that writes it and in the one below that reads it. Numbers are never reused. Data that few jobs have, or
 * that has names of its own, is JSON in one field: labels, changes of the retry policy, and why an attempt failed.
 */
import { createHash } from "node:crypto";
import { type Labels, type Lease, type NewJob, noLabels, type Payload, type RetryChanges } from "./job.ts";
import { noBytes, payloadOf, writeLabels, writePayload, writer } from "./record-fields.ts";
import { cutBefore, WireReader } from "./wire.ts";

/** Encodes a submitted job. */
export function encodeJob(job: NewJob): Uint8Array<ArrayBuffer> {
  writer.begin();
  writeKind(job);
  writer.uuid(2, job.id);
  writer.double(3, job.submittedAt);
  writer.double(4, job.runAt);
  if (job.expiresAt !== null) writer.double(5, job.expiresAt);
  if (job.idempotencyKey !== null) writer.string(6, job.idempotencyKey);
  writeLabels(7, job.labels);
  if (job.memo !== "") writer.string(10, job.memo);
  if (job.trace !== null) writer.string(8, job.trace);
  writePayload(inputField, job.input);
  return writer.end();
}

const inputField = 11;

/** A record without its input: the part that lists show. */
export function headOf(record: Uint8Array): Uint8Array<ArrayBuffer> {
  return cutBefore(record, inputField);
}

/**
 * Encodes what an idempotency key remembers of its job: what `differences` compares, with a digest instead of the
 * input.
 */
export function encodeContent(job: NewJob): Uint8Array<ArrayBuffer> {
  writer.begin();
  writeKind(job);
  writeLabels(7, job.labels);
  if (job.input) writer.bytes(9, digestOf(job.input));
  return writer.end();
}

export type DecodedJob = NewJob & {
  /** Instead of the input in what an idempotency key remembers. */
  readonly inputDigest: Uint8Array | null;
};

/**
 * Decoding trusts the record: its checksum is verified where it is read from disk. The input is a view of the record.
 * An empty record has the default of each field.
 */
export function decodeJob(record: Uint8Array): DecodedJob {
  const { kind, id, submittedAt, runAt, expiresAt, trace, idempotencyKey, labels, memo, input, inputDigest } =
    readHead(record);
  return {
    id,
    client: kind.client,
    task: kind.task,
    pool: kind.pool,
    channel: kind.channel,
    input,
    inputDigest,
    maxAttempts: kind.maxAttempts,
    priority: kind.priority,
    runAt,
    expiresAt,
    submittedAt,
    trace,
    idempotencyKey,
    labels,
    memo,
    timeoutMs: kind.timeoutMs,
    retry: kind.retry,
  };
}

/** The attempt, and the fields of the job that may have changed since its submit. */
export type LeaseColumns = Pick<
  Lease,
  "seq" | "attempt" | "fence" | "crashes" | "redrives" | "runAt" | "expiresAt" | "startedAt" | "isCancelling"
>;

/** Decodes everything but the input, which stays in the record. */
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

/**
 * The fields that many jobs have in common. They come first in a record, and are decoded once for all jobs with the
 * same ones.
 */
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
  if (retry !== null) writer.string(8, JSON.stringify(retry));
  writer.endMessage(begun);
}

const kinds = new Map<string, Kind>();
const maxKinds = 1_000;
/** Most jobs have the kind of the one before. */
let latest: { readonly message: Uint8Array; readonly kind: Kind } | undefined;

function kindOf(reader: WireReader): Kind {
  if (latest && reader.passIf(latest.message)) return latest.kind;
  const message = reader.bytes();
  const kind = readKind(message);
  latest = { message: new Uint8Array(message), kind };
  return kind;
}

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
    else if (field === 8) kind.retry = JSON.parse(reader.string()) as RetryChanges;
    else reader.skip();
  }
  if (kinds.size >= maxKinds) kinds.clear();
  kinds.set(key, kind);
  return kind;
}

type Head = Pick<DecodedJob, "id" | "submittedAt" | "runAt" | "expiresAt" | "trace" | "idempotencyKey" | "labels"> &
  Pick<DecodedJob, "memo" | "input" | "inputDigest"> & { readonly kind: Kind };

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
  let memo = "";
  let inputDigest: Uint8Array | null = null;
  let inputKind = -1;
  let inputType = "";
  let inputBytes: Uint8Array = noBytes;
  for (let field = reader.next(); field !== 0; field = reader.next()) {
    if (field === 1) kind = kindOf(reader);
    else if (field === 2) id = reader.uuid();
    else if (field === 3) submittedAt = reader.double();
    else if (field === 4) runAt = reader.double();
    else if (field === 5) expiresAt = reader.double();
    else if (field === 6) idempotencyKey = reader.string();
    else if (field === 7) labels = JSON.parse(reader.string()) as Labels;
    else if (field === 8) trace = reader.string();
    else if (field === 9) inputDigest = reader.view();
    else if (field === 10) memo = reader.string();
    else if (field === 11) inputKind = reader.uint();
    else if (field === 12) inputType = reader.string();
    else if (field === 13) inputBytes = reader.view();
    else reader.skip();
  }
  const input = payloadOf(inputKind, inputType, inputBytes);
  kind ??= readKind(Buffer.alloc(0));
  return { kind, id, submittedAt, runAt, expiresAt, trace, idempotencyKey, labels, memo, input, inputDigest };
}

/** The digest that replaces an input. */
export function digestOf({ kind, type, bytes }: Payload): Uint8Array {
  return createHash("sha256").update(`${kind}\n${type}\n`).update(bytes).digest();
}
