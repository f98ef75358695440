/** How the code of tasks writes to the server's log. */
import type { JsonValue } from "../job/job.ts";

export type LogLevel = "debug" | "info" | "warn" | "error";

/** Each line may have fields, which go with it as JSON. */
export type TaskLog = Readonly<
  Record<LogLevel, (text: string, fields?: { readonly [key: string]: JsonValue }) => void>
>;
