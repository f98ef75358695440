/** The work of a job on a database, and the connection that does it: the same types for both dialects. */
import type { JsonValue } from "../../job/job.ts";
import type { Connection } from "../connections/connections.ts";
import type { Bound } from "./parameter.ts";

/** One statement with its parameters, once for each set. */
export type Work = {
  readonly sql: string;
  readonly sets: readonly (readonly Bound[])[];
  /** Whether it only reads; the database enforces that. Otherwise all sets run in one transaction. */
  readonly isReadOnly: boolean;
  /** Bound on the returned rows. Undefined: rows are not read. */
  readonly maxRows: number | undefined;
  /** Bound on each execution. */
  readonly timeoutMs: number;
  readonly unknownOutcome: "retry" | "dead";
};

export type Answer = {
  readonly columns: readonly string[];
  /** In the order of the columns. */
  readonly rows: readonly (readonly JsonValue[])[];
  /** Number of rows inserted, updated or deleted. */
  readonly affected: number;
};

/** An open connection to a database. Does one work at a time. */
export type DatabaseConnection = Connection & {
  /**
   * Does all of the work or nothing. Rejects with a TaskError, or with the signal's reason; the statement has then
   * ended in the database, too.
   */
  run(work: Work, signal: AbortSignal): Promise<Answer>;
};

/** Bound on the bytes of text in one answer: a result must fit into a gRPC message of 4 MiB. */
export const maxAnswerBytes = 4 * 1024 * 1024;
