/** Maps errors of PostgreSQL to failures (https://www.postgresql.org/docs/current/errcodes-appendix.html). */
import type { JsonValue } from "../../../job/job.ts";
import type { TaskError } from "../../../pool/task.ts";
import { type Constraint, failures } from "../failures.ts";
import type { PostgresLocation } from "../settings.ts";
import type { Work } from "../work.ts";

/** An error that the server sent. */
export type ServerError = Error & {
  readonly code: string;
  readonly severity: string;
  readonly constraint?: string;
  readonly table?: string;
  readonly column?: string;
  /** The server function that raised the error. */
  readonly routine?: string;
};

export function isServerError(error: unknown): error is ServerError {
  return error instanceof Error && "severity" in error && "code" in error && typeof error.code === "string";
}

const constraints: { readonly [state: string]: Constraint } = {
  "23502": "not_null",
  "23503": "foreign_key",
  "23001": "foreign_key", // restrict_violation
  "23505": "unique",
  "23514": "check",
  "23P01": "exclusion",
};

const meanings: { readonly [state: string]: (message: string) => TaskError } = {
  "40001": failures.conflict, // serialization_failure
  "40P01": failures.conflict, // deadlock_detected
  "55P03": failures.conflict, // lock_not_available
  "42501": failures.accessDenied, // insufficient_privilege
  "3D000": failures.unavailable, // invalid_catalog_name: the database does not exist
  "55000": failures.unavailable, // the server is not ready for it, such as a standby
};

/** Failures by error class: the first two characters of the code. */
const classes: { readonly [state: string]: (message: string) => TaskError } = {
  "08": failures.unavailable, // connection
  "22": failures.valueRefused, // data
  "28": failures.unavailable, // login: a fault of the configuration, not of the job
  "53": failures.unavailable, // resources
  "57": failures.unavailable, // operator intervention, such as a shutdown
  "58": failures.unavailable, // system errors, such as of the disk
  XX: failures.unavailable, // an internal error of the server
};

/** Whether the prepared statement is stale: the table has changed, or a pooler switched the session. A new connection helps. */
export function isStalePlan({ code, routine }: ServerError): boolean {
  return routine === "RevalidateCachedQuery" || code === "26000" || code === "42P05";
}

const readOnlyTransaction = "25006";
const queryCanceled = "57014";

/**
 * Whether the error answers the statement, and is not about the end of the session. (The severity cannot be used: it is
 * localized.)
 */
export function isAnswer({ code }: ServerError): boolean {
  return !/^(?:08|57|58|XX)/.test(code);
}

/** Omits the detail of an error, because it quotes rows. */
export function failureOf(error: ServerError, work: Work): TaskError {
  const { code, message, table, column, constraint } = error;
  if (isStalePlan(error)) return failures.conflict(message);
  if (code === queryCanceled) return failures.timedOut(work);
  if (code === readOnlyTransaction && work.isReadOnly) return failures.readOnly();
  const kind = constraints[code];
  if (kind !== undefined) return failures.constraint(kind, message, named({ table, column, constraint }));
  return (meanings[code] ?? classes[code.slice(0, 2)] ?? failures.statementFailed)(message);
}

function named(names: { readonly [key: string]: string | undefined }): { [key: string]: JsonValue } {
  return Object.fromEntries(Object.entries(names).filter((each): each is [string, string] => each[1] !== undefined));
}

/** Why a connection was not opened, and what to change in the configuration. `passedMs`: the timeout that passed, if any. */
export function whyNotOpened(
  error: unknown,
  { password, tls }: PostgresLocation,
  passedMs: number | undefined,
): string {
  if (passedMs !== undefined) return `no answer within connectMs (${passedMs} ms)`;
  const why = whyLost(error);
  if (isServerError(error) || (error instanceof Error && "code" in error)) return why;
  if (tls === "on") return `${why} (set \`tls: off\` to connect without TLS)`;
  return password ? why : `${why} (set passwordEnv or passwordFile if it requires a password)`;
}

/** Why a connection failed, without addresses. */
export function whyLost(error: unknown): string {
  if (isServerError(error)) return error.message;
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  if (typeof code === "string") return code;
  return error instanceof Error && error.message !== "" ? error.message : "the connection is lost";
}
