import type { JsonValue } from "../job/job.ts";
import type { Log } from "../log.ts";
import type { LogLevel } from "../pool/task-log.ts";
import type { TriedLine } from "./context.ts";

/** Adds log lines of resources to the running attempt; drops them if none runs. */
export function logTo(lines: () => TriedLine[] | undefined): Log {
  const at =
    (level: LogLevel): Log["info"] =>
    (fields, text) =>
      void lines()?.push({ level, text, fields: (fields["fields"] ?? {}) as { readonly [key: string]: JsonValue } });
  return { debug: at("debug"), info: at("info"), warn: at("warn"), error: at("error"), isWritten: () => true };
}
