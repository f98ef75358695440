/** Converts rows to the output message: objects keyed by column name. */
import type { JsonValue } from "../../job/job.ts";
import { failures } from "./failures.ts";
import type { Answer, Work } from "./work.ts";

type Row = { [column: string]: JsonValue };

export function rowsOf({ columns, rows }: Answer): { columns: string[]; rows: Row[] } {
  return {
    columns: [...columns],
    rows: rows.map((cells) => Object.fromEntries(columns.map((name, index) => [name, cells[index] ?? null]))),
  };
}

/**
 * Bounds on what a writing statement may return. Sized for the default limits of a result: the actual limits are known
 * only after the commit.
 */
const maxReturned = { values: 16_000, bytes: 2 * 1024 * 1024 };

/** Returns the answer if it fits into a result, otherwise throws. Called before the commit, so that nothing is changed then. */
export function accepted(answer: Answer, { isReadOnly }: Pick<Work, "isReadOnly">): Answer {
  const { columns, rows } = answer;
  const twin = columns.find((name, index) => columns.indexOf(name) !== index);
  if (twin !== undefined) {
    throw failures.statementFailed(`two of its columns are named "${twin}": rename one of them with AS`);
  }
  if (isReadOnly || rows.length === 0) return answer;
  const size = { values: 0, bytes: 0 };
  for (const cells of rows) {
    size.values += 1 + columns.length;
    for (const [index, cell] of cells.entries()) add(cell, size, columns[index]?.length ?? 0);
    if (size.values > maxReturned.values) throw failures.returnsTooMany(maxReturned.values);
    if (size.bytes > maxReturned.bytes) throw failures.answerTooLarge(maxReturned.bytes);
  }
  return answer;
}

/** Counts values like `limits.values`, and overestimates bytes. */
function add(cell: JsonValue, size: { values: number; bytes: number }, nameBytes: number): void {
  size.values += 1;
  size.bytes += nameBytes + 16;
  if (typeof cell === "string") size.bytes += Buffer.byteLength(cell);
  if (typeof cell !== "object" || cell === null) return;
  for (const [key, inner] of Object.entries(cell)) {
    size.values += 1;
    add(inner, size, key.length);
  }
}
