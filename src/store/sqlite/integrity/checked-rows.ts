/**
 * Integrity, in three layers. What a client or a task gave (records and results) carries a CRC-32 of its own, made by
 * job/record.ts in the main thread, and is checked whenever it is read. The numbers around it, which the store itself
 * writes, have a checksum in their row: it is computed here and nowhere else, when a row is written (`createRowWriter`)
 * and when it is read (`checksum`), and binds the bytes of a row to its numbers, so that another job's are wrong bytes.
 * Rows on which every other row rests (names, channels, leases) are checked when the store is opened, and a wrong one
 * refuses the start; a wrong row of one job affects that job alone (damage.ts).
 * SQLite's own pages are checked at the start of small files (inspect.ts); transactions that the log lost, at its
 * end or behind a damaged frame, are found by their number (commit-counter.ts).
 */
import type { SQLInputValue } from "node:sqlite";
import type { Sql } from "../thread/connection.ts";

export type Cell = number | null;

/** Stands for NULL: no column holds it. */
const absent = -(2 ** 52);

/** 32 bits over numbers in their order, never 0: a single bit that turns over in one of them always changes it. */
export function checksum(numbers: readonly Cell[], length = numbers.length): number {
  let sum = length;
  for (let index = 0; index < length; index += 1) {
    const value = numbers[index] ?? absent;
    sum = Math.imul(sum ^ value, 0x9e37_79b1);
    sum = Math.imul(sum ^ (sum >>> 15) ^ Math.floor(value / 2 ** 32), 0x85eb_ca6b);
  }
  return sum ^ (sum >>> 13) || 1;
}

/** Whether the numbers of a row from this place on, which end with their checksum, are those that were written. */
export function areRight(row: readonly unknown[], from: number, columns: readonly string[]): boolean {
  const numbers = (from === 0 ? row : row.slice(from, from + columns.length)) as readonly Cell[];
  return checksum(numbers, columns.length) === ((row[from + columns.length] as number) | 0);
}

/**
 * What binds bytes, which have a checksum of their own, to the row that they are in: 21 bits of that checksum and of the id
 * beside it. They are the upper part of the row's checksum, so that its numbers are checked also where bytes are not read.
 */
export function bindingOf(bytes: Uint8Array, id: Uint8Array = noBytes): number {
  let word = wordAt(bytes, bytes.length - 4);
  for (let at = 0; at < id.length; at += 4) word = ((word << 7) | (word >>> 25)) ^ wordAt(id, at);
  return (word ^ (word >>> 21)) & 0x1f_ffff;
}

/** Whether these bytes, and the id, are those that were written into the row with this checksum. */
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

/** Stored in place of the checksum of numbers that were wrong already when they were read. */
export const wrongChecksum = 0;

export type RowWriter = {
  /**
   * Puts a row on the list: the numbers of its columns in their order, their checksum, then what has one of its own. Numbers
   * that were wrong already when they were read (not `isRight`) stay so.
   */
  add(numbers: readonly Cell[], others?: readonly SQLInputValue[], binding?: number, isRight?: boolean): void;
  /** Writes what was added. Throws, and has written nothing of the last statement, where a row breaks a constraint. */
  flush(): void;
};

/** Rows in one statement: half as dear as one by one. */
export const rowsPerStatement = 16;

/** `into`: `INSERT INTO table`, whose columns are its numbers, `checksum` and the others, in this order. */
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
