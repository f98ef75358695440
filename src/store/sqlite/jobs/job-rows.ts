/** The rows of a job: their columns, and how they are read. */
import { headOf } from "../../../job/record.ts";
import { joinCut, restOf } from "../../../job/wire.ts";

/** A longer record is stored in two parts. With one that is shorter, a row fits into a page. */
const longestWhole = 3 * 1024;

export type Bytes = Uint8Array<ArrayBuffer>;

/** The numbers of a job's row in the order of their checksum. */
export const jobColumns = [
  ...(["seq", "client", "channel", "pool", "task", "priority"] as const),
  ...(["run_at", "expires_at", "submitted_at"] as const),
] as const;

/** What attempts so far left of a job: see progress in the schema. */
export const progressColumns = ["seq", "run_at", "attempt", "fence", "crashes", "redrives", "started_at"] as const;

export const endedColumns = [
  ...(["seq", "client", "pool", "channel", "cursor", "state", "attempts", "fence", "crashes", "redrives"] as const),
  ...(["run_at", "started_at", "finished_at", "dead_reason", "bytes"] as const),
] as const;

/** The cells of such columns in their order. */
export type Cells<Columns extends readonly string[]> = {
  -readonly [K in keyof Columns]: Columns[K] extends "expires_at" | "started_at" | "dead_reason"
    ? number | null
    : number;
};
export type EndedNumbers = [...Cells<typeof endedColumns>, checksum: number];

/** Whose a job is, by numbers. */
export type Owners = { readonly client: number; readonly pool: number; readonly channel: number };

/** A job wherever it stands. `state`: its number in `states`; `cursor`: position of its result, null until it is final. */
export type StoredState = Owners &
  Readonly<Record<"seq" | "task" | "priority" | "submittedAt" | "runAt" | "state" | "attempts", number>> &
  Readonly<Record<"fence" | "crashes" | "redrives", number>> &
  Readonly<Record<"expiresAt" | "startedAt" | "finishedAt" | "cursor", number | null>> & {
    readonly isCancelling: boolean;
    /** Whether its record and its id are those that were written into its row. */
    readonly isOwn: boolean;
    /** Whether all that was read of it is what was written. */
    readonly isRight: boolean;
  };

/** SQL: the columns and the checksum. */
const numbersOf = (table: string, columns: readonly string[]) =>
  [...columns, "checksum"].map((name) => `${table}.${name}`).join();
export const endedNumbers = numbersOf("ended", endedColumns);
const jobAndProgress = `${numbersOf("job", jobColumns)}, ${numbersOf("progress", progressColumns)}`;
/** SQL: a job that waits or runs: its numbers, what attempts so far left, its id, and the first part of its record. */
export const waitingColumns = `${jobAndProgress}, job.id, job.record`;
/** SQL: any job; the same, and the numbers of its end. */
export const storedColumns = `${waitingColumns}, ${endedNumbers}`;
/** SQL: the same for those who need to know only where it stands. Id and record are not read, and not checked. */
export const standingColumns = `${jobAndProgress}, NULL, NULL, ${endedNumbers}`;
/** SQL: where these come from, behind table job. */
export const withProgress = "LEFT JOIN progress ON progress.seq = job.seq";
export const withProgressAndEnd = `${withProgress} LEFT JOIN ended ON ended.seq = job.seq`;

/** Where the parts of such a row begin. */
export const jobChecksumAt = jobColumns.length;
export const progressAt = jobChecksumAt + 1;
export const idAt = progressAt + progressColumns.length + 1;
export const headAt = idAt + 1;
export const endedAt = headAt + 1;
/** Where columns behind such a row begin. */
export const behindStored = endedAt + endedColumns.length + 1;

/**
 * The two columns of a record: the first is all that lists read and has a checksum of its own, since the input of a long one is
 * in the second.
 */
export function toColumns(record: Uint8Array): [record: Uint8Array, rest: Uint8Array | null] {
  if (record.length <= longestWhole) return [record, null];
  const head = headOf(record);
  return [head, restOf(record, head)];
}

export function toRecord(record: Uint8Array, rest: Uint8Array | null): Uint8Array {
  return rest === null ? record : joinCut(record, rest);
}
