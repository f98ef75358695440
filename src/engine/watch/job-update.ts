/** What one who watches a job is told. */
import type { JsonValue } from "../../job/job.ts";
import type { Progress } from "../../pool/pool.ts";

export type LogLine = {
  readonly level: "debug" | "info" | "warn" | "error";
  readonly text: string;
  readonly fields: { readonly [key: string]: JsonValue };
  readonly attempt: number;
  /** Milliseconds since 1970. */
  readonly at: number;
};

/**
 * `event` grows with every update of a job, also from one server process to the next, for it starts from the wall clock.
 */
export type JobUpdate = { readonly event: number } & (
  | { /** The job may have another state now: read it from the store. */ readonly kind: "changed" }
  | { readonly kind: "progress"; readonly progress: Progress }
  | { readonly kind: "log"; readonly line: LogLine }
  | { /** So many lines and reports were dropped here. */ readonly kind: "dropped"; readonly count: number }
);

export type JobWatch = {
  /** The next update; the first is `changed`. Null once the watch is closed. One call at a time. */
  next(): Promise<JobUpdate | null>;
  /** Ends once everything is handed out. */
  finish(): void;
  close(): void;
};
