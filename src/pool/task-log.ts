/** The log that tasks and resources use to write to the server's log. */
import type { JsonValue } from "../job/job.ts";

export type LogLevel = "debug" | "info" | "warn" | "error";

/** Each line may have fields, which are logged as JSON. */
export type TaskLog = Readonly<
  Record<LogLevel, (text: string, fields?: { readonly [key: string]: JsonValue }) => void>
>;
