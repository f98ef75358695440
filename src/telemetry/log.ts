import { pino } from "pino";
import type { Log } from "../log.ts";
import { visible } from "../visible.ts";
import { createLineWriter, type LineWriter } from "./lines.ts";

export type LogThreshold = "debug" | "info" | "warn" | "error" | "silent";

/** A log that writes in the background. */
export type BackgroundLog = Log & Pick<LineWriter, "written">;

/** A log that writes JSON lines to a file, standard error by default, those at `level` and above. */
export function createLog(level: LogThreshold, fd = 2): BackgroundLog {
  const lines = createLineWriter(fd, (lost) =>
    log.warn({ lines: lost }, "lines of the log were lost: they could not be written"),
  );
  const log = pino(
    { level, base: null, timestamp: pino.stdTimeFunctions.isoTime },
    { write: (line) => lines.write(visible(line)) }, // a terminal shows it, and it says what others sent
  );
  return Object.assign(log, { written: lines.written });
}
