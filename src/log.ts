/** Facts that go with a log line. */
export type LogFields = { readonly [key: string]: unknown };

/** How serious a line is, the least serious first. */
export const logLevels = ["debug", "info", "warn", "error"] as const;
export type LogLevel = (typeof logLevels)[number];

/** The least serious lines that are written; `silent`: none. */
export type LogThreshold = LogLevel | "silent";

/** Where the server writes what happens. The words are those of pino; telemetry/log.ts makes one. */
export type Log = {
  debug(fields: LogFields, text: string): void;
  info(fields: LogFields, text: string): void;
  warn(fields: LogFields, text: string): void;
  error(fields: LogFields, text: string): void;
  /** Whether lines of this level are written now: for those whose fields cost something. */
  isWritten(level: LogLevel): boolean;
};

/** What whoever runs the server may change about its log. */
export type LogControl = {
  threshold(): LogThreshold;
  /** From now on, and for `forMs` milliseconds where that is given; null: what the configuration says. */
  setThreshold(threshold: LogThreshold | null, forMs?: number): void;
};
