/** Facts that go with a log line. */
export type LogFields = { readonly [key: string]: unknown };

/** Where the server writes what happens. The words are those of pino; telemetry/log.ts makes one. */
export type Log = {
  debug(fields: LogFields, text: string): void;
  info(fields: LogFields, text: string): void;
  warn(fields: LogFields, text: string): void;
  error(fields: LogFields, text: string): void;
};
