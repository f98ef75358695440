/** The rows of a job: their columns, and how to read them. */
import { headOf } from "../../../job/record.ts";
import { joinCut, restOf } from "../../../job/wire.ts";

/** A longer record is stored in two parts. A row with a shorter one fits into a page. */
const longestWhole = 3 * 1024;

export type Bytes = Uint8Array<ArrayBuffer>;

/** The numbers of a job's row in the order of their checksum. */
export const jobColumns = [
  ...(["seq", "client", "channel", "pool", "task", "priority"] as const),
  ...(["run_at", "expires_at", "submitted_at"] as const),
] as const;

/** See the table progress in the schema. */
export const progressColumns = ["seq", "run_at", "attempt", "fence", "crashes", "redrives", "started_at"] as const;

export const endedColumns = [
  ...(["seq", "client", "pool", "channel", "cursor", "state", "attempts", "fence", "crashes", "redrives"] as const),
  ...(["run_at", "started_at", "finished_at", "dead_reason", "bytes"] as const),
] as const;

/** The cells of such columns, in order. */
export type Cells<Columns extends readonly string[]> = {
  -readonly [K in keyof Columns]: Columns[K] extends "expires_at" | "started_at" | "dead_reason"
    ? number | null
    : number;
};
export type EndedNumbers = [...Cells<typeof endedColumns>, checksum: number];

/** The client, pool and channel of a job, by their ids. */
export type Owners = { readonly client: number; readonly pool: number; readonly channel: number };

/** A job in any state. `state`: an index of `states`; `cursor`: position of its result, null until it is final. */
export type StoredState = Owners &
  Readonly<Record<"seq" | "task" | "priority" | "submittedAt" | "runAt" | "state" | "attempts", number>> &
  Readonly<Record<"fence" | "crashes" | "redrives", number>> &
  Readonly<Record<"expiresAt" | "startedAt" | "finishedAt" | "cursor", number | null>> & {
    readonly isCancelling: boolean;
    /** Whether its record and its id belong to its row. */
    readonly isOwn: boolean;
    /** Whether everything that was read of it matches its checksums. */
    readonly isRight: boolean;
  };

/** SQL: columns and checksum. */
const numbersOf = (table: string, columns: readonly string[]) =>
  [...columns, "checksum"].map((name) => `${table}.${name}`).join();
export const endedNumbers = numbersOf("ended", endedColumns);
const jobAndProgress = `${numbersOf("job", jobColumns)}, ${numbersOf("progress", progressColumns)}`;
/** SQL: a waiting or running job: its numbers, its progress, its id, and the first part of its record. */
export const waitingColumns = `${jobAndProgress}, job.id, job.record`;
/** SQL: a job in any state: the same, and the numbers of its ending. */
export const storedColumns = `${waitingColumns}, ${endedNumbers}`;
/** SQL: the same without id and record, which are not read and not verified. */
export const standingColumns = `${jobAndProgress}, NULL, NULL, ${endedNumbers}`;
/** SQL: the joins for these columns, after table job. */
export const withProgress = "LEFT JOIN progress ON progress.seq = job.seq";
export const withProgressAndEnd = `${withProgress} LEFT JOIN ended ON ended.seq = job.seq`;

/** Indices of the parts of such a row. */
export const jobChecksumAt = jobColumns.length;
export const progressAt = jobChecksumAt + 1;
export const idAt = progressAt + progressColumns.length + 1;
export const headAt = idAt + 1;
export const endedAt = headAt + 1;
/** Index of further columns after such a row. */
export const behindStored = endedAt + endedColumns.length + 1;

/**
 * The two columns of a record. The input of a long record is in the second; the first, which is all that lists read,
 * then has a checksum of its own.
 */
export function toColumns(record: Uint8Array): [record: Uint8Array, rest: Uint8Array | null] {
  if (record.length <= longestWhole) return [record, null];
  const head = headOf(record);
  return [head, restOf(record, head)];
}

export function toRecord(record: Uint8Array, rest: Uint8Array | null): Uint8Array {
  return rest === null ? record : joinCut(record, rest);
}
