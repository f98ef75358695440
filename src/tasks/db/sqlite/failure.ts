/** Maps errors of SQLite to failures (https://sqlite.org/rescode.html). */
import type { TaskError } from "../../../pool/task.ts";
import { type Constraint, failures, ofSet } from "../failures.ts";
import type { Work } from "../work.ts";
import type { StatementFailure } from "./protocol.ts";

const constraints: { readonly [code: number]: Constraint } = {
  275: "check",
  787: "foreign_key",
  1299: "not_null",
  1555: "unique", // SQLITE_CONSTRAINT_PRIMARYKEY
  2067: "unique",
  2579: "unique", // SQLITE_CONSTRAINT_ROWID
};

/** Failures by primary result code. */
const failuresByCode: { readonly [code: number]: (message: string) => TaskError } = {
  3: failures.accessDenied, // SQLITE_PERM
  5: failures.conflict, // SQLITE_BUSY
  6: failures.conflict, // SQLITE_LOCKED
  7: failures.unavailable, // SQLITE_NOMEM
  8: failures.accessDenied, // SQLITE_READONLY: the file
  10: failures.unavailable, // SQLITE_IOERR
  11: failures.unavailable, // SQLITE_CORRUPT
  13: failures.unavailable, // SQLITE_FULL
  14: failures.unavailable, // SQLITE_CANTOPEN
  18: failures.valueRefused, // SQLITE_TOOBIG
  19: failures.valueRefused, // SQLITE_CONSTRAINT of other kinds, such as the type of a STRICT column
  20: failures.valueRefused, // SQLITE_MISMATCH
  23: failures.accessDenied, // SQLITE_AUTH
  26: failures.unavailable, // SQLITE_NOTADB
};
const primary = 0xff;
const readOnly = 8;

export function failureOf({ code, message, set }: StatementFailure, work: Work): TaskError {
  const failure = meaning(code, message, work);
  return set === undefined || work.sets.length === 1 ? failure : ofSet(failure, set);
}

function meaning(code: number | undefined, message: string, { isReadOnly }: Work): TaskError {
  if (code === undefined) return failures.statementFailed(message);
  const constraint = constraints[code];
  if (constraint !== undefined) return failures.constraint(constraint, message);
  if (isReadOnly && (code & primary) === readOnly) return failures.readOnly();
  return (failuresByCode[code & primary] ?? failures.statementFailed)(message);
}
