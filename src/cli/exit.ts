/** Ends the process at once; after a failure, with a last line that contains the remedy. */
import { systemClock } from "../../clients/typescript/clock.ts";
import { messageOf, MillpondError } from "../errors.ts";
import { beforeExec } from "../lifecycle.ts";
import type { RunningServer } from "../server.ts";
import type { Terminal } from "./print/terminal.ts";

/** The store or another part failed for good (EX_SOFTWARE of sysexits.h). */
export const failedExitCode = 70;
/** How long the server may take to notify its callers. Its jobs are on disk, or were not accepted. */
const stopMs = 1_200;

/** Stops the parts of the server that still run and ends the process. Never resolves. */
export async function endFailed(
  server: Pick<RunningServer, "stop" | "store" | "logged">,
  error: Error,
  terminal: Terminal,
): Promise<never> {
  const stopping = server.stop().catch(() => undefined); // the first failure is the one to report
  await Promise.race([stopping, systemClock.sleep(stopMs)]);
  await server.logged();
  terminal.printError(`millpond: ${failureText(server.store, error)}`);
  exitAtOnce(failedExitCode);
}

/** Ends the process after an uncaught error: the state in memory cannot be trusted, that on disk can. */
export function endBroken(error: unknown, terminal: Terminal): never {
  if (error instanceof Error) terminal.printError(error.stack ?? "");
  terminal.printError(
    `millpond: the server failed and has ended: ${messageOf(error)}; this should not happen: start it again`,
  );
  exitAtOnce(failedExitCode);
}

/** One error, in one line, for everything that failed during a stop. */
export function uncleanStop(error: unknown): Error {
  const parts: readonly unknown[] = error instanceof AggregateError ? error.errors : [error];
  const sentences = parts.map((part) =>
    part instanceof Error && part.cause !== undefined ? `${part.message} (${messageOf(part.cause)})` : messageOf(part),
  );
  return new Error(sentences.join(", "), { cause: error });
}

/** What failed and the remedy, in one line. */
export function failureText(store: string, error: Error): string {
  const what = messageOf(error).replace(/\s*\n\s*/g, " ");
  if (error instanceof MillpondError && error.reason === "store_failed") {
    return `${what}; make sure that ${store} can be written and its disk has room, then start the server again`;
  }
  return `the server failed and has ended: ${what}; this should not happen: see its log, then start it again`;
}

/**
 * Ends the process now, whatever its threads do. `process.exit` waits for every thread, and one that is terminated
 * while it starts may never end; so the process replaces itself (exec) by a program that only exits. Where exec is not
 * available (Windows), calls `process.exit`. Listeners of `exit` are not called.
 */
export function exitAtOnce(code: number): never {
  for (const end of beforeExec) end();
  try {
    if (!isProfiledToItsEnd())
      process.execve?.(process.execPath, [process.execPath, "--eval", `process.exit(${code})`], {});
  } catch {
    // exec is not available
  }
  process.exit(code);
}

/** A profile that Node.js was started with is written by `process.exit` only, and its samples would end the next program. */
function isProfiledToItsEnd(): boolean {
  const given = ["", process.env["NODE_OPTIONS"], ...process.execArgv].join(" ").replaceAll("_", "-"); // Node.js accepts both
  return / --(cpu-)?prof( |$)/.test(given);
}
