import { diag, DiagLogLevel } from "@opentelemetry/api";
import type { Clock } from "../clock.ts";
import { messageOf } from "../errors.ts";
import type { Log } from "../log.ts";
import { createThrottle } from "./throttle.ts";

const maxChars = 1_000;

/**
 * Warnings and errors of the OpenTelemetry packages go to the server's log, at most one line a minute, and never to the
 * console.
 */
export function logDiagnostics({ clock, log }: { readonly clock: Clock; readonly log: Log }): void {
  const throttle = createThrottle(clock);
  const warn = (...parts: readonly unknown[]) => {
    const text = parts.map((each) => (typeof each === "string" ? each : messageOf(each))).join(" ");
    throttle((others) => log.warn({ message: text.slice(0, maxChars), others }, "OpenTelemetry reports a problem"));
  };
  const ignore = () => undefined;
  const logger = { error: warn, warn, info: ignore, debug: ignore, verbose: ignore };
  diag.setLogger(logger, { logLevel: DiagLogLevel.WARN, suppressOverrideMessage: true });
}
