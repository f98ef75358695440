/** How rows cross between threads: columns by name, as arrays, with their bytes in one buffer. */
import { idBytes, readId, writeId } from "../../../job/id.ts";

/** A column of numbers; NaN stands for null. */
export type NumberColumn = Float64Array<ArrayBuffer>;

export function toNumberColumn<Row>(rows: readonly Row[], numberOf: (row: Row) => number | null): NumberColumn {
  const column = new Float64Array(rows.length);
  for (let index = 0; index < rows.length; index += 1) column[index] = numberOf(rows[index]!) ?? Number.NaN;
  return column;
}

export function orNull(cell: number): number | null {
  return Number.isNaN(cell) ? null : cell;
}

/** A column of texts of which few are different: each once, and for each row which it has. */
export type TextColumn = { readonly texts: string[]; readonly places: Uint32Array<ArrayBuffer> };

export function toTextColumn<Row>(rows: readonly Row[], textOf: (row: Row) => string): TextColumn {
  const texts: string[] = [];
  const places = new Uint32Array(rows.length);
  const known = new Map<string, number>();
  let before: string | undefined;
  let place = 0;
  for (let index = 0; index < rows.length; index += 1) {
    const text = textOf(rows[index]!);
    if (text !== before) {
      before = text;
      place = known.get(text) ?? texts.length;
      if (place === texts.length) {
        known.set(text, place);
        texts.push(text);
      }
    }
    places[index] = place;
  }
  return { texts, places };
}

const uuid = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** The 16 bytes of a UUID in its 36-character form, in lower case; null: it is none, and names no job. */
export function bytesOfId(id: string): Uint8Array<ArrayBuffer> | null {
  return uuid.test(id) ? bytesOfIds([id], (same) => same) : null;
}

/** Those of many, end to end. */
export function bytesOfIds<Row>(rows: readonly Row[], idOf: (row: Row) => string): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(rows.length * idBytes);
  for (let index = 0; index < rows.length; index += 1) writeId(idOf(rows[index]!), bytes, index * idBytes);
  return bytes;
}

export const textOfId = (bytes: Uint8Array) => readId(bytes, 0);
