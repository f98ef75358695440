import { headOf } from "../../../job/record.ts";
import { checksumBytes, joinCut, restOf } from "../../../job/wire.ts";

/** A longer record is stored in two parts. With one that is shorter, a row fits into a page. */
const longestWhole = 3 * 1024;

/** The cells of a row that may not be there. */
export type Nulls<Row extends readonly unknown[]> = { [K in keyof Row]: Row[K] | null };

/** The numbers of a job's row in the order of their checksum. */
export const jobColumns = [
  "seq",
  "client",
  "channel",
  "pool",
  "task",
  "priority",
  "run_at",
  "expires_at",
  "submitted_at",
] as const;

/** SQL: these columns and the checksum. */
export const jobNumbers = [...jobColumns, "checksum"].map((name) => `job.${name}`).join();

export type JobNumbers = [
  seq: number,
  client: number,
  channel: number,
  pool: number,
  task: number,
  priority: number,
  runAt: number,
  expiresAt: number | null,
  submittedAt: number,
  checksum: number,
];

/** What attempts so far left of a job, in the order of the checksum: see progress in the schema. */
export const progressColumns = ["seq", "run_at", "attempt", "fence", "crashes", "redrives", "started_at"] as const;

/** SQL: these columns and the checksum. */
export const progressNumbers = [...progressColumns, "checksum"].map((name) => `progress.${name}`).join();

export type ProgressNumbers = [
  seq: number,
  runAt: number,
  attempt: number,
  fence: number,
  crashes: number,
  redrives: number,
  startedAt: number | null,
  checksum: number,
];

export const endedColumns = [
  ...(["seq", "client", "pool", "channel", "cursor", "state", "attempts", "fence", "crashes", "redrives"] as const),
  ...(["run_at", "started_at", "finished_at", "dead_reason", "bytes"] as const),
] as const;

/** SQL: these columns and the checksum. */
export const endedNumbers = [...endedColumns, "checksum"].map((name) => `ended.${name}`).join();

export type EndedNumbers = [
  seq: number,
  client: number,
  pool: number,
  channel: number,
  cursor: number,
  state: number,
  attempts: number,
  fence: number,
  crashes: number,
  redrives: number,
  runAt: number,
  startedAt: number | null,
  finishedAt: number,
  deadReason: number | null,
  bytes: number,
  checksum: number,
];

/**
 * The two columns of a record: the first is all that lists read and has a checksum of its own, since the input of a long one is
 * in the second.
 */
export function toColumns(record: Uint8Array): [record: Uint8Array, rest: Uint8Array | null] {
  if (record.length <= longestWhole) return [record, null];
  const head = headOf(record);
  return [head, restOf(record, head)];
}

/** SQL: the bytes of a record. */
export const recordBytes = `octet_length(job.record) + coalesce(octet_length(job.rest) - ${checksumBytes}, 0)`;

export function toRecord(record: Uint8Array, rest: Uint8Array | null): Uint8Array {
  return rest === null ? record : joinCut(record, rest);
}
