/** The messages between the process of a SQLite connection and its parent. */
import type { TaskError } from "../../../pool/task.ts";
import type { Answer, Work } from "../work.ts";

type Details = TaskError["details"];

export type ToProcess =
  | { readonly kind: "open"; readonly path: string }
  | { readonly kind: "run"; readonly work: Work }
  /** Close the database and exit. */
  | { readonly kind: "close" };

/** All except `committing` answer a request. */
export type FromProcess = { readonly kind: "committing" } | FinalAnswer;

export type FinalAnswer =
  | { readonly kind: "opened" }
  | { readonly kind: "answer"; readonly answer: Answer }
  /** A TaskError that was thrown in the process. */
  | { readonly kind: "failure"; readonly reason: string; readonly message: string; readonly details: Details }
  | StatementFailure;

export type StatementFailure = {
  readonly kind: "fault";
  /** SQLite's extended result code; undefined: the error is not SQLite's. */
  readonly code: number | undefined;
  readonly message: string;
  /** The set that caused it; undefined for the begin and the commit. */
  readonly set: number | undefined;
};
