/** What a job asks of a database, and what a connection to one does: the same for both kinds. */
import type { JsonValue } from "../../job/job.ts";
import type { Connection } from "../connections/connections.ts";
import type { Bound } from "./parameter.ts";

/** One statement with its parameters, once for each set. */
export type Work = {
  readonly sql: string;
  readonly sets: readonly (readonly Bound[])[];
  /** It reads only, and the database refuses anything else. Otherwise all sets run in one transaction. */
  readonly isReadOnly: boolean;
  /** Most rows that may come back. Undefined: rows are not read. */
  readonly maxRows: number | undefined;
  /** Bound on each execution. */
  readonly timeoutMs: number;
  readonly unknownOutcome: "retry" | "dead";
};

export type Answer = {
  readonly columns: readonly string[];
  /** In the order of the columns. */
  readonly rows: readonly (readonly JsonValue[])[];
  /** Rows that were inserted, updated or deleted. */
  readonly affected: number;
};

/** An open connection to a database. One work at a time. */
export type DatabaseConnection = Connection & {
  /**
   * Does the work whole or not at all. Rejects with a TaskError, or with the signal's reason: by then the statement has ended
   * in the database too.
   */
  run(work: Work, signal: AbortSignal): Promise<Answer>;
};

/** Most bytes of text in one answer: a result has to fit in a gRPC message of 4 MiB. */
export const maxAnswerBytes = 4 * 1024 * 1024;
