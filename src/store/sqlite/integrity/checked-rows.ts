/**
 * Integrity has three layers. Data of clients and tasks (records and endings) ends with a CRC-32, which job/record.ts
 * computes in the main thread, and which is verified whenever the data is read. The numbers around it, which the store
 * itself writes, have a checksum in their row. It is only computed here, when a row is written (`createRowWriter`) and
 * when it is read (`checksum`), and also binds the bytes of a row to its numbers, so that bytes of another job are
 * detected. Rows that all others depend on (names, channels, leases) are verified when the store is opened, and a
 * damaged one prevents the start; a damaged row of one job only affects that job (damage.ts). SQLite's own pages are
 * verified when a small file is opened (inspect.ts). Transactions that the log has lost, at its end or behind a damaged
 * frame, are detected by their number (commit-counter.ts).
 */
import type { SQLInputValue } from "node:sqlite";
import type { Sql } from "../thread/connection.ts";

export type Cell = number | null;

/** Represents NULL; no column has this value. */
const absent = -(2 ** 52);

/** A checksum of 32 bits over numbers in order, never 0. A single flipped bit in one of them always changes it. */
export function checksum(numbers: readonly Cell[], length = numbers.length): number {
  let sum = length;
  for (let index = 0; index < length; index += 1) {
    const value = numbers[index] ?? absent;
    sum = Math.imul(sum ^ value, 0x9e37_79b1);
    sum = Math.imul(sum ^ (sum >>> 15) ^ Math.floor(value / 2 ** 32), 0x85eb_ca6b);
  }
  return sum ^ (sum >>> 13) || 1;
}

/** Whether the numbers of a row, which start at index `from` and are followed by their checksum, match it. */
export function areRight(row: readonly unknown[], from: number, columns: readonly string[]): boolean {
  const numbers = (from === 0 ? row : row.slice(from, from + columns.length)) as readonly Cell[];
  return checksum(numbers, columns.length) === ((row[from + columns.length] as number) | 0);
}

/**
 * Binds bytes, which have a checksum of their own, to their row: 21 bits of that checksum and of the id beside it. They
 * are the upper part of the row's checksum, so that its numbers can be verified without reading the bytes.
 */
export function bindingOf(bytes: Uint8Array, id: Uint8Array = noBytes): number {
  let word = wordAt(bytes, bytes.length - 4);
  for (let at = 0; at < id.length; at += 4) word = ((word << 7) | (word >>> 25)) ^ wordAt(id, at);
  return (word ^ (word >>> 21)) & 0x1f_ffff;
}

/** Whether these bytes and the id belong to the row with this checksum. */
export function isBound(stored: unknown, bytes: Uint8Array, id?: Uint8Array): boolean {
  const sum = stored as number;
  return bindingOf(bytes, id) === (sum - (sum | 0)) / 2 ** 32;
}

const noBytes = new Uint8Array();

function wordAt(bytes: Uint8Array, at: number): number {
  return bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24);
}

/** The checksum of a row whose bytes are bound to its numbers. */
export function checksumWith(numbers: readonly Cell[], binding: number): number {
  return checksum(numbers) + binding * 2 ** 32;
}

/** Stored as the checksum of numbers that were already damaged when they were read. */
export const wrongChecksum = 0;

export type RowWriter = {
  /**
   * Adds a row: the numbers of its columns in order, and the other columns, which have checksums of their own. Numbers
   * that were already damaged when they were read (not `isRight`) stay marked as damaged.
   */
  add(numbers: readonly Cell[], others?: readonly SQLInputValue[], binding?: number, isRight?: boolean): void;
  /** Writes the added rows. Throws if a row violates a constraint; then no row of its statement is written. */
  flush(): void;
};

/** Rows per statement: costs half as much as single rows. */
export const rowsPerStatement = 16;

/** `into`: `INSERT INTO table`. The table's columns are the numbers, `checksum` and the others, in this order. */
export function createRowWriter(
  sql: Sql,
  into: string,
  numbers: readonly string[],
  others: readonly string[] = [],
): RowWriter {
  const columns = [...numbers, "checksum", ...others];
  const row = `(${columns.map(() => "?").join()})`;
  const head = `${into} (${columns.join()}) VALUES`;
  const one = sql`${head} ${row}`;
  const many = sql`${head} ${Array<string>(rowsPerStatement).fill(row).join()}`;
  const cellsAtOnce = columns.length * rowsPerStatement;
  let cells: SQLInputValue[] = [];

  return {
    add: (values, rest = [], binding = 0, isRight = true) => {
      for (const value of values) cells.push(value);
      cells.push(isRight ? checksumWith(values, binding) : wrongChecksum);
      for (const value of rest) cells.push(value);
    },
    flush: () => {
      if (cells.length === 0) return;
      const all = cells;
      cells = [];
      let at = 0;
      for (; at + cellsAtOnce <= all.length; at += cellsAtOnce) many.run(...all.slice(at, at + cellsAtOnce));
      for (; at < all.length; at += columns.length) one.run(...all.slice(at, at + columns.length));
    },
  };
}
