/** Fields of a log line. */
export type LogFields = { readonly [key: string]: unknown };

/** Severities of a line, least severe first. */
export const logLevels = ["debug", "info", "warn", "error"] as const;
export type LogLevel = (typeof logLevels)[number];

/** The lowest severity that is written; `silent`: none is. */
export type LogThreshold = LogLevel | "silent";

/** The server's log, with the methods of pino; telemetry/log.ts creates it. */
export type Log = {
  debug(fields: LogFields, text: string): void;
  info(fields: LogFields, text: string): void;
  warn(fields: LogFields, text: string): void;
  error(fields: LogFields, text: string): void;
  /** Whether lines of this level are written now; lets callers skip building expensive fields. */
  isWritten(level: LogLevel): boolean;
};

/** What an operator may change about the log while the server runs. */
export type LogControl = {
  threshold(): LogThreshold;
  /** Sets the level, for `forMs` milliseconds if given; null restores the configured level. */
  setThreshold(threshold: LogThreshold | null, forMs?: number): void;
};
