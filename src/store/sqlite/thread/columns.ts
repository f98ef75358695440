/** How rows cross between threads: columns by name, as arrays, with their bytes in one buffer. */

/** A column of texts of which few are different: each once, and for each row which it has. */
export type TextColumn = { readonly texts: string[]; readonly places: number[] };

export function toTextColumn(texts: readonly string[]): TextColumn {
  const column: TextColumn = { texts: [], places: [] };
  const known = new Map<string, number>();
  let before: string | undefined;
  let place = 0;
  for (const text of texts) {
    if (text !== before) {
      before = text;
      const found = known.get(text);
      place = found ?? column.texts.length;
      if (found === undefined) {
        known.set(text, place);
        column.texts.push(text);
      }
    }
    column.places.push(place);
  }
  return column;
}

const idLength = 36;
export const idBytes = 16;

/** The 16 bytes of a UUID in its 36-character form. */
export function bytesOfId(id: string): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(idBytes);
  let at = 0;
  for (let index = 0; index < idLength; index += 2) {
    if (id.charCodeAt(index) === dash) index += 1;
    bytes[at++] = (digitOf(id.charCodeAt(index)) << 4) | digitOf(id.charCodeAt(index + 1));
  }
  return bytes;
}

const dash = 45;

/** Of a lower-case hexadecimal digit. */
const digitOf = (code: number) => (code < 58 ? code - 48 : code - 87);

export function textOfId(bytes: Uint8Array): string {
  const hex = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("hex");
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}
