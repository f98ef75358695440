/** How the process ends: at once, and after a failure with a last line that has the remedy. */
import { systemClock } from "../../clients/typescript/clock.ts";
import { messageOf, MillpondError } from "../errors.ts";
import { beforeExec } from "../lifecycle.ts";
import type { RunningServer } from "../server.ts";
import type { Terminal } from "./print/terminal.ts";

/** The store or another part failed for good (EX_SOFTWARE of sysexits.h). */
export const failedExitCode = 70;
/** How long the server may take to notify its callers. What it held is on disk, or was not accepted. */
const stopMs = 1_200;

/** Stops what still stands and ends the process. Never resolves. */
export async function endFailed(
  server: Pick<RunningServer, "stop" | "store" | "logged">,
  error: Error,
  terminal: Terminal,
): Promise<never> {
  const stopping = server.stop().catch(() => undefined); // the first failure is the one to report
  await Promise.race([stopping, systemClock.sleep(stopMs)]);
  await server.logged();
  terminal.complain(`millpond: ${failureText(server.store, error)}`);
  exitAtOnce(failedExitCode);
}

/** Ends the process for an error that nothing caught: what is in memory cannot be trusted, what is on disk can. */
export function endBroken(error: unknown, terminal: Terminal): never {
  if (error instanceof Error) terminal.complain(error.stack ?? "");
  terminal.complain(
    `millpond: the server failed and has ended: ${messageOf(error)}; this should not happen: start it again`,
  );
  exitAtOnce(failedExitCode);
}

/** The error of a stop that left something behind: all of it, in one line. */
export function uncleanStop(error: unknown): Error {
  const parts: readonly unknown[] = error instanceof AggregateError ? error.errors : [error];
  const sentences = parts.map((part) =>
    part instanceof Error && part.cause !== undefined ? `${part.message} (${messageOf(part.cause)})` : messageOf(part),
  );
  return new Error(sentences.join(", "), { cause: error });
}

/** What failed and what to do, in one line. */
export function failureText(store: string, error: Error): string {
  const what = messageOf(error).replace(/\s*\n\s*/g, " ");
  if (error instanceof MillpondError && error.reason === "store_failed") {
    return `${what}; make sure that ${store} can be written and its disk has room, then start the server again`;
  }
  return `the server failed and has ended: ${what}; this should not happen: see its log, then start it again`;
}

/**
 * Ends the process now, whatever its threads do. `process.exit` waits for every thread, and one that is ended in the middle
 * of its boot may never end; so the process turns into another that does nothing but end. Where that is not possible
 * (Windows), it is `process.exit`. Listeners of `exit` are not called.
 */
export function exitAtOnce(code: number): never {
  for (const end of beforeExec) end();
  try {
    process.execve?.(process.execPath, [process.execPath, "--eval", `process.exit(${code})`], {});
  } catch {
    // this platform has none
  }
  process.exit(code);
}
