import { pino } from "pino";
import type { Log } from "../log.ts";

export type LogThreshold = "debug" | "info" | "warn" | "error" | "silent";

/** A log that writes JSON lines to standard error, those at `level` and above. */
export function createLog(level: LogThreshold): Log {
  return pino(
    { level, base: null, timestamp: pino.stdTimeFunctions.isoTime },
    pino.destination({ dest: 2, sync: false }),
  );
}
