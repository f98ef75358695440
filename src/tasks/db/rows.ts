/** Rows as a message has them: objects by the names of the columns. */
import type { JsonValue } from "../../job/job.ts";
import { failures } from "./failures.ts";
import type { Answer } from "./work.ts";

type Row = { [column: string]: JsonValue };

export function rowsOf({ columns, rows }: Answer): { columns: string[]; rows: Row[] } {
  const twin = columns.find((name, index) => columns.indexOf(name) !== index);
  if (twin !== undefined) {
    throw failures.statementFailed(`two of its columns are named "${twin}": name one of them with AS`);
  }
  return {
    columns: [...columns],
    rows: rows.map((cells) => Object.fromEntries(columns.map((name, index) => [name, cells[index] ?? null]))),
  };
}
