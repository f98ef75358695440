import { headOf } from "../../../job/record.ts";
import { checksumBytes, joinCut, restOf } from "../../../job/wire.ts";

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
export type JobNumbers = [...Cells<typeof jobColumns>, checksum: number];
export type ProgressNumbers = [...Cells<typeof progressColumns>, checksum: number];
export type EndedNumbers = [...Cells<typeof endedColumns>, checksum: number];
/** The cells of a row that may not be there. */
export type Nulls<Row extends readonly unknown[]> = { [K in keyof Row]: Row[K] | null };

/** SQL: the columns and the checksum. */
const numbersOf = (table: string, columns: readonly string[]) =>
  [...columns, "checksum"].map((name) => `${table}.${name}`).join();
export const jobNumbers = numbersOf("job", jobColumns);
export const progressNumbers = numbersOf("progress", progressColumns);
export const endedNumbers = numbersOf("ended", endedColumns);

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
