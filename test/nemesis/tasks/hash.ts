/**
 * `nemesis.hash`: writes down that it began and that it ended, and returns the hash of its input. Each line is one write
 * to a file opened for appending, so that lines of several threads and processes do not mix and a kill loses none.
 */
import { createHash, randomUUID } from "node:crypto";
import { openSync, writeSync } from "node:fs";
import { threadId } from "node:worker_threads";
import { defineTask, TaskError } from "../../../src/pool/task.ts";
import type { TaskEvent } from "../history/event.ts";
import { now } from "../history/log.ts";

/** What `driver/intents.ts` sends. */
export type HashInput = {
  readonly text: string;
  /** Attempts up to this number fail. */
  readonly failures?: number;
  readonly isPermanent?: boolean;
  /** How attempts up to that number end their thread, or the whole process, in place of failing. */
  readonly murder?: Murder;
  /** Letters that the output has beside the hash. */
  readonly padding?: number;
  /** How long the attempt takes. */
  readonly lastsMs?: number;
  /** Whether it goes on when it is asked to stop. */
  readonly isDeaf?: boolean;
};

/** `throw` and `reject` end the thread from outside the task, `segfault` the process. */
export type Murder = "throw" | "reject" | "exit" | "heap" | "loop" | "segfault";

const neverAborted = new AbortController().signal;
let file: number | undefined;

function write(event: TaskEvent): void {
  file ??= openSync(process.env["NEMESIS_RUNS"]!, "a");
  writeSync(file, `${JSON.stringify(event)}\n`);
}

export default defineTask({
  name: "nemesis.hash",
  pool: "cpu",
  description: "Hashes its input, and writes down each execution, for the nemesis.",
  retry: { baseMs: 20, maxBackoffMs: 200 },
  async run(input, { jobId, attempt, signal }) {
    const beganAt = now(); // all else takes milliseconds the first time
    const {
      text,
      failures = 0,
      isPermanent = false,
      lastsMs = 0,
      isDeaf = false,
      murder,
      padding = 0,
    } = input as HashInput;
    const run = randomUUID();
    write({ at: beganAt, kind: "began", id: jobId, attempt, run, pid: process.pid, thread: threadId });
    let how: "returned" | "threw" = "threw";
    try {
      if (lastsMs > 0) await pauseFor(lastsMs, isDeaf ? neverAborted : signal);
      if (attempt <= failures && murder) {
        write({ at: now(), kind: "murders", run, how: murder });
        await commit(murder);
      }
      if (attempt <= failures) throw new TaskError("told_to_fail", "as it was asked to", { retryable: !isPermanent });
      how = "returned";
      return {
        sha256: createHash("sha256").update(text).digest("hex"),
        run,
        ...(padding > 0 && { padding: "p".repeat(padding) }),
      };
    } finally {
      write({ at: now(), kind: "finished", run, how });
    }
  },
});

/** Never comes back. */
async function commit(murder: Murder): Promise<never> {
  switch (murder) {
    case "throw":
      setImmediate(() => {
        throw new Error("thrown where nobody catches it");
      });
      break;
    case "reject":
      void Promise.reject(new Error("rejected where nobody looks"));
      break;
    case "exit":
      process.exit(3);
    case "heap": {
      const kept: unknown[] = [];
      for (;;) kept.push(new Array(100_000).fill(kept.length));
    }
    case "loop":
      for (;;);
    case "segfault":
      process.kill(process.pid, "SIGSEGV");
  }
  return new Promise<never>(() => {});
}

/** Rejects as soon as the signal aborts. */
async function pauseFor(lastsMs: number, signal: AbortSignal): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const stop = () => reject(signal.reason as Error);
  signal.addEventListener("abort", stop, { once: true });
  const timer = setTimeout(resolve, lastsMs);
  try {
    signal.throwIfAborted();
    await promise;
  } finally {
    clearTimeout(timer);
    signal.removeEventListener("abort", stop);
  }
}
