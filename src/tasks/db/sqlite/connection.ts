/** A connection to a SQLite file: a child process that has the file open, and is killed to stop a statement. */
import type { ChildProcess } from "node:child_process";
import { systemClock } from "../../../clock.ts";
import { messageOf } from "../../../errors.ts";
import { permanent } from "../../../pool/task.ts";
import { forkBeside } from "../../process/fork.ts";
import { failures } from "../failures.ts";
import type { DatabaseConnection, Work } from "../work.ts";
import { failureOf } from "./failure.ts";
import type { FinalAnswer, FromProcess, ToProcess } from "./protocol.ts";

/** How long the process may take to close the file, which includes a checkpoint of the write-ahead log. */
const closeMs = 5_000;
const dayMs = 86_400_000;

export type Bounds = { readonly connectMs: number; readonly signal: AbortSignal };

/** Rejects with `db_unavailable`, also when it takes longer than `connectMs`, or with the signal's reason. */
export async function openSqlite(path: string, { connectMs, signal }: Bounds): Promise<DatabaseConnection> {
  signal.throwIfAborted();
  const child = forkBeside(import.meta.url, "process-entry", { busy: true });
  const { closed, ask, kill, isCommitting } = talkTo(child);
  let isUsable = true;
  void closed.then(() => (isUsable = false));

  async function bounded(asked: ToProcess, ms: number, signal: AbortSignal, late: () => Error): Promise<FinalAnswer> {
    signal.throwIfAborted();
    const { promise, reject } = Promise.withResolvers<never>();
    const onAbort = () => reject(signal.reason as Error);
    signal.addEventListener("abort", onAbort, { once: true });
    const cancelTimer = systemClock.after(ms, () => reject(late()));
    try {
      return await Promise.race([promise, ask(asked)]);
    } catch (error) {
      isUsable = false;
      await kill();
      throw error;
    } finally {
      cancelTimer();
      signal.removeEventListener("abort", onAbort);
    }
  }

  const connection: DatabaseConnection = {
    closed,
    isUsable: () => isUsable,
    async run(work, signal) {
      const answer = await bounded({ kind: "run", work }, totalMs(work), signal, () => failures.timedOut(work)).catch(
        (error: unknown) => {
          if (isCommitting() && !signal.aborted) throw failures.outcomeUnknown(messageOf(error), work);
          throw error instanceof ProcessLost ? failures.unavailable(error.message) : error;
        },
      );
      if (answer.kind === "answer") return answer.answer;
      if (answer.kind === "fault") throw failureOf(answer, work);
      if (answer.kind === "failure") throw permanent(answer.reason, answer.message, answer.details);
      throw new Error(`the process of the connection answered ${answer.kind}`);
    },
    async close() {
      isUsable = false;
      child.send({ kind: "close" } satisfies ToProcess, () => {}); // fails if the process has ended, which also closes the file
      const cancelTimer = systemClock.after(closeMs, () => void kill());
      await closed;
      cancelTimer();
    },
  };
  const answer = await bounded({ kind: "open", path }, connectMs, signal, () =>
    failures.unavailable(`opening the file took longer than connectMs (${connectMs} ms)`),
  ).catch((error: unknown) => {
    throw error instanceof ProcessLost ? failures.unavailable(error.message) : error;
  });
  if (answer.kind === "opened") return connection;
  await kill();
  throw failures.unavailable(answer.kind === "fault" ? answer.message : "the file was not opened");
}

/**
 * Bound on all executions together, at most a day: each may take `timeoutMs`, and the process does not report when one
 * starts.
 */
function totalMs({ timeoutMs, sets }: Work): number {
  return Math.min(timeoutMs * sets.length, dayMs);
}

class ProcessLost extends Error {}

function talkTo(child: ChildProcess) {
  const closed = Promise.withResolvers<void>();
  let waiting: PromiseWithResolvers<FinalAnswer> | undefined;
  let why: string | undefined;
  let isCommitting = false;
  const end = (reason: string) => {
    why ??= `the process of its connection ended or did not start: ${reason}`;
    waiting?.reject(new ProcessLost(why));
    closed.resolve();
  };
  child.on("message", (message: FromProcess) => {
    if (message.kind === "committing") isCommitting = true;
    else waiting?.resolve(message);
  });
  child.once("exit", (code, killedBy) => {
    const endWith = () => end(killedBy ?? `exit code ${code}`);
    if (child.connected)
      child.once("disconnect", endWith); // not on "exit": its last message may not be read yet
    else endWith();
  });
  child.on("error", ({ code }: NodeJS.ErrnoException) => {
    if (child.pid === undefined) end(code ?? "unknown error"); // it never started
  });
  return {
    closed: closed.promise,
    /** Whether the last work may have been committed, for when the process is lost. */
    isCommitting: () => isCommitting,
    async ask(asked: ToProcess): Promise<FinalAnswer> {
      if (why !== undefined) throw new ProcessLost(why);
      isCommitting = false;
      waiting = Promise.withResolvers();
      child.send(asked, () => {}); // if the process has ended, "exit" is emitted
      return waiting.promise;
    },
    async kill() {
      child.kill("SIGKILL");
      await closed.promise;
    },
  };
}
