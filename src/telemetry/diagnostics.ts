import { diag, DiagLogLevel } from "@opentelemetry/api";
import type { Clock } from "../clock.ts";
import { messageOf } from "../errors.ts";
import type { Log } from "../log.ts";
import { createSeldom } from "./seldom.ts";

const maxChars = 1_000;

/** Complaints of the OpenTelemetry packages go into the server's log, at most one line a minute, and never to the console. */
export function logDiagnostics({ clock, log }: { readonly clock: Clock; readonly log: Log }): void {
  const seldom = createSeldom(clock);
  const complain = (...said: readonly unknown[]) => {
    const text = said.map((each) => (typeof each === "string" ? each : messageOf(each))).join(" ");
    seldom((others) => log.warn({ said: text.slice(0, maxChars), others }, "OpenTelemetry complains"));
  };
  const ignore = () => undefined;
  const logger = { error: complain, warn: complain, info: ignore, debug: ignore, verbose: ignore };
  diag.setLogger(logger, { logLevel: DiagLogLevel.WARN, suppressOverrideMessage: true });
}
