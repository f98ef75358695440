/** The failures of database tasks. docs/errors.md explains each reason. */
import type { RetryPolicy } from "../../job/backoff.ts";
import type { JsonValue } from "../../job/job.ts";
import { permanent, TaskError } from "../../pool/task.ts";
import type { Work } from "./work.ts";

/** Backs off for three minutes in total on average, so that a job survives a restart of its database. */
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
  /** The database cannot be reached, or has no free connections or space. Nothing was changed. */
  unavailable: (why: string) => new TaskError("db_unavailable", `is unavailable: ${why}`),
  /** The transaction conflicted with another one. Nothing was changed. */
  conflict: (why: string) => new TaskError("db_conflict", `another transaction conflicts: ${why}`),
  timedOut: ({ timeoutMs }: Work) =>
    new TaskError("db_timed_out", `the statement took longer than its timeoutMs of ${timeoutMs}, and was cancelled`),
  outcomeUnknown: (why: string, { unknownOutcome }: Work) =>
    new TaskError(
      "db_outcome_unknown",
      `the connection broke during the commit (${why}): the whole transaction was committed, or none of it`,
      { retryable: unknownOutcome === "retry" },
    ),
  constraint: (kind: Constraint, message: string, details: { [key: string]: JsonValue } = {}) =>
    permanent(violations[kind].reason, message, details),
  valueRefused: (message: string) => permanent("db_value_refused", `the database refuses a value: ${message}`),
  readOnly: () => permanent("db_read_only", "the statement writes, and db.query only reads: use db.execute"),
  accessDenied: (message: string) => permanent("db_access_denied", `the database user lacks permission: ${message}`),
  statementFailed: (message: string) => permanent("db_statement_failed", `the statement failed: ${message}`),
  /** The configuration has changed since the job was submitted. */
  unknownDatabase: (what: string) => permanent("unknown_database", what),
  unknownStatement: (what: string) => permanent("unknown_statement", what),
  badParameters: (what: string) => permanent("bad_parameters", what),
  tooManyRows: ({ maxRows = 0 }: Work) =>
    permanent(
      "too_many_rows",
      `the statement returns more rows than its maxRows of ${maxRows}: fetch fewer, page by page, or raise maxRows`,
      { limit: maxRows },
    ),
  returnsTooMany: (limit: number) =>
    permanent(
      "output_too_large",
      `the statement returns more than ${limit} values, so nothing was changed: return fewer rows or columns`,
      { limit },
    ),
  answerTooLarge: (limit: number) =>
    permanent("output_too_large", `the rows have more than ${limit} bytes: fetch fewer rows or columns`, { limit }),
};

/** The same failure with the index of the set that caused it. */
export function ofSet(failure: TaskError, index: number): TaskError {
  const { reason, message, retryable, details } = failure;
  return new TaskError(reason, `sets[${index}]: ${message}`, { retryable, details: { ...details, set: index } });
}
