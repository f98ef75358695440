/** How database tasks fail. docs/errors.md has what each reason means. */
import type { RetryPolicy } from "../../job/backoff.ts";
import type { JsonValue } from "../../job/job.ts";
import { permanent, TaskError } from "../../pool/task.ts";
import type { Work } from "./work.ts";

/** Three minutes on average, so that a job outlives the restart of its database. */
export const retry: Partial<RetryPolicy> = { maxAttempts: 12, baseMs: 1000, maxBackoffMs: 60_000 };

/** Kinds of constraints. */
export type Constraint = keyof typeof violations;

const violations = {
  unique: { reason: "db_unique_violation" },
  foreign_key: { reason: "db_foreign_key_violation" },
  not_null: { reason: "db_not_null_violation" },
  check: { reason: "db_check_violation" },
  exclusion: { reason: "db_exclusion_violation" },
} as const;

export const failures = {
  /** It cannot be reached, or has no room. Nothing was changed. */
  unavailable: (why: string) => new TaskError("db_unavailable", `is away: ${why}`),
  /** It conflicted with another transaction. Nothing was changed. */
  conflict: (why: string) => new TaskError("db_conflict", `another transaction conflicts: ${why}`),
  timedOut: ({ timeoutMs }: Work) =>
    new TaskError("db_timed_out", `the statement took longer than its timeoutMs of ${timeoutMs}, and was ended`),
  outcomeUnknown: (why: string, { unknownOutcome }: Work) =>
    new TaskError(
      "db_outcome_unknown",
      `the connection broke during the commit (${why}): the transaction is in the database as a whole, or not at all`,
      { retryable: unknownOutcome === "retry" },
    ),
  constraint: (kind: Constraint, message: string, details: { [key: string]: JsonValue } = {}) =>
    permanent(violations[kind].reason, message, details),
  valueRefused: (message: string) => permanent("db_value_refused", `the database refuses a value: ${message}`),
  readOnly: () => permanent("db_read_only", "the statement writes, and db.query only reads: use db.execute"),
  accessDenied: (message: string) => permanent("db_access_denied", `the database's user may not do this: ${message}`),
  statementFailed: (message: string) => permanent("db_statement_failed", `the statement failed: ${message}`),
  /** The configuration has changed since the job was submitted. */
  unknownDatabase: (what: string) => permanent("unknown_database", what),
  unknownStatement: (what: string) => permanent("unknown_statement", what),
  badParameters: (what: string) => permanent("bad_parameters", what),
  tooManyRows: ({ maxRows = 0 }: Work) =>
    permanent(
      "too_many_rows",
      `the statement returns more rows than its maxRows of ${maxRows}: ask for fewer, page by page, or raise maxRows`,
      { limit: maxRows },
    ),
  returnsTooMany: (limit: number) =>
    permanent(
      "output_too_large",
      `what the statement returns has more than ${limit} values, so nothing was changed: return fewer rows or columns`,
      { limit },
    ),
  answerTooLarge: (limit: number) =>
    permanent("output_too_large", `the rows have more than ${limit} bytes: ask for fewer rows or columns`, { limit }),
};

/** The same failure, with the set that caused it. */
export function ofSet(failure: TaskError, index: number): TaskError {
  const { reason, message, retryable, details } = failure;
  return new TaskError(reason, `sets[${index}]: ${message}`, { retryable, details: { ...details, set: index } });
}
