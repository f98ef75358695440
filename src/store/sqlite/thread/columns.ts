/**
 * How rows are sent between threads: columns by name, as arrays, and their payloads concatenated in one buffer, which
 * is transferred and not copied. Cloning an object with a small buffer per job would cost more than storing the job.
 */
import { idBytes, readId, writeId } from "../../../job/id.ts";

/** A column of numbers; NaN means null. */
export type NumberColumn = Float64Array<ArrayBuffer>;
export type NumberColumns<Name extends string> = Readonly<Record<Name, NumberColumn>>;

export function toNumberColumn<Row>(rows: readonly Row[], numberOf: (row: Row) => number | null): NumberColumn {
  const column = new Float64Array(rows.length);
  for (let index = 0; index < rows.length; index += 1) column[index] = numberOf(rows[index]!) ?? Number.NaN;
  return column;
}

/** Columns with the names of the rows' properties. */
export function toNumberColumns<Name extends string>(
  rows: readonly Readonly<Record<Name, number | null>>[],
  names: readonly Name[],
): NumberColumns<Name> {
  const columns = names.map((name) => [name, toNumberColumn(rows, (row) => row[name])]);
  return Object.fromEntries(columns) as NumberColumns<Name>;
}

export function orNull(cell: number): number | null {
  return Number.isNaN(cell) ? null : cell;
}

/** A column of texts with few distinct values: each text once, and the index of each row's text. */
export type TextColumn = { readonly texts: string[]; readonly places: Uint32Array<ArrayBuffer> };

export function toTextColumn<Row>(rows: readonly Row[], textOf: (row: Row) => string): TextColumn {
  const places = new Uint32Array(rows.length);
  const known = new Map<string, number>();
  let before: string | undefined;
  let place = 0;
  for (let index = 0; index < rows.length; index += 1) {
    const text = textOf(rows[index]!);
    if (text !== before) {
      before = text;
      place = known.get(text) ?? known.size;
      known.set(text, place);
    }
    places[index] = place;
  }
  return { texts: [...known.keys()], places };
}

/** Returns the next `size` bytes as a view. Payloads are taken in the order in which they were added. */
export type Take = (size: number) => Uint8Array;

export function createTake(bytes: Uint8Array): Take {
  const all = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length); // so that WireReader needs no view of its own
  let offset = 0;
  return (size) => all.subarray(offset, (offset += size));
}

/** Concatenates payloads into a new buffer. */
export function joinBytes(payloads: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  let size = 0;
  for (const { length } of payloads) size += length;
  const joined = new Uint8Array(size);
  let offset = 0;
  for (const payload of payloads) {
    joined.set(payload, offset);
    offset += payload.length;
  }
  return joined;
}

const uuid = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** The 16 bytes of a UUID in its lower-case 36-character form; null: it is no UUID, and so no job's id. */
export function bytesOfId(id: string): Uint8Array<ArrayBuffer> | null {
  return uuid.test(id) ? bytesOfIds([id]) : null;
}

/** The bytes of many UUIDs, concatenated. */
export function bytesOfIds(ids: readonly string[]): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(ids.length * idBytes);
  for (let index = 0; index < ids.length; index += 1) writeId(ids[index]!, bytes, index * idBytes);
  return bytes;
}

export const textOfId = (bytes: Uint8Array) => readId(bytes, 0);
