import { isatty } from "node:tty";
import { pino } from "pino";
import { type Clock, systemClock } from "../clock.ts";
import type { Log, LogControl, LogThreshold } from "../log.ts";
import { visible } from "../visible.ts";
import { createLineWriter, type LineWriter } from "./lines.ts";
import { prettyLine } from "./pretty.ts";
import { redacted } from "./redact.ts";

/** `auto`: `pretty` on a terminal, `json` anywhere else. */
export type LogFormat = "auto" | "json" | "pretty";

export type LogOptions = {
  /** The configured level: applies until `setThreshold` changes it, and again when that change expires. */
  readonly level: LogThreshold;
  readonly format?: LogFormat;
  /** Default: standard error. */
  readonly fd?: number;
  readonly clock?: Clock;
  /** NO_COLOR (https://no-color.org) and TERM decide whether pretty lines are coloured. */
  readonly env?: { readonly [name: string]: string | undefined };
};

/** A log that writes in the background, and whose level can be changed at any time. */
export type BackgroundLog = Log & LogControl & Pick<LineWriter, "written" | "lost">;

export function createLog({
  level,
  format = "auto",
  fd = 2,
  clock = systemClock,
  env = {},
}: LogOptions): BackgroundLog {
  const lines = createLineWriter(fd, (lost) =>
    log.warn({ lines: lost }, "log lines were lost: they could not be written"),
  );
  const isPretty = format === "pretty" || (format === "auto" && isatty(fd));
  const hasColours = isatty(fd) && !env["NO_COLOR"] && env["TERM"] !== "dumb";
  const shown = isPretty ? (line: string) => prettyLine(line, hasColours) : visible;
  const log = pino(
    { level, base: null, timestamp: pino.stdTimeFunctions.isoTime, formatters: { log: redacted } },
    { write: (line) => lines.write(shown(line)) }, // a terminal may show it, and it contains text from outside
  );
  let cancelEnd = () => {};

  function change(to: LogThreshold, forMs?: number): void {
    const facts = { from: log.level, to, ...(forMs !== undefined && { forMs }) };
    const isVisible = log.isLevelEnabled("info");
    if (isVisible) log.info(facts, "the log level changes");
    log.level = to;
    if (!isVisible) log.info(facts, "the log level has changed");
  }

  return Object.assign(log, {
    isWritten: (of: string) => log.isLevelEnabled(of),
    threshold: () => log.level as LogThreshold,
    setThreshold(to: LogThreshold | null, forMs?: number) {
      cancelEnd();
      cancelEnd = forMs === undefined ? () => {} : clock.after(forMs, () => change(level));
      change(to ?? level, forMs);
    },
    written: lines.written,
    lost: lines.lost,
  });
}
