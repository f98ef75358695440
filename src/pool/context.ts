/** What a running attempt holds in its hand. */
import { parentPort } from "node:worker_threads";
import { systemClock as clock } from "../clock.ts";
import type { JsonValue } from "../job/job.ts";
import type { ChunkJob, Note } from "./chunk.ts";
import { type LogLevel, TaskError, type TaskContext } from "./task.ts";

/** Progress is sent at most this often; the last word within an interval is the one that is dropped. */
const progressIntervalMs = 100;
/** Log lines of one attempt; further ones are dropped, and the last line says so. */
const maxLogLines = 200;
const maxLogChars = 4096;
const maxNoteChars = 200;

const levels: readonly LogLevel[] = ["debug", "info", "warn", "error"];

export type AttemptContext = {
  readonly task: TaskContext<never>;
  /** Whether the attempt was told to stop. */
  isCancelled(): boolean;
  /** Lets go of what waits for a cancellation. */
  end(): void;
};

/** Attempts of this thread whose task asked for its signal. */
const listeners = new Set<() => void>();

/**
 * Looks at the flags whenever the bell rings. `Atomics.waitAsync` on the flags would need no bell, but a thread that
 * idles in its event loop is not always woken by it (seen on Node 26.10 under load).
 */
export function listenTo(bell: string): void {
  const channel = new BroadcastChannel(bell);
  channel.addEventListener("message", () => {
    for (const look of listeners) look();
  });
  channel.unref();
}

/** `flags[flag]` turns 1 when the attempt should stop. */
export function createContext(job: ChunkJob, settings: unknown, flags: Int32Array, flag: number): AttemptContext {
  let lastProgressAt = Number.NEGATIVE_INFINITY;
  let lines = 0;
  let controller: AbortController | undefined;
  let look = () => {};

  const isCancelled = () => Atomics.load(flags, flag) !== 0;

  function signal(): AbortSignal {
    if (controller) return controller.signal;
    const created = new AbortController();
    controller = created;
    look = () => {
      if (isCancelled()) created.abort(cancelled());
    };
    look();
    listeners.add(look);
    return created.signal;
  }

  function log(level: LogLevel, text: string, fields: { readonly [key: string]: JsonValue } = {}): void {
    lines += 1;
    if (lines > maxLogLines) return;
    const said = lines === maxLogLines ? `${maxLogLines} lines logged: further ones of this attempt are dropped` : text;
    const { id, task, attempt } = job;
    post({ kind: "log", id, task, attempt, level, text: said.slice(0, maxLogChars), fields });
  }

  return {
    task: {
      settings: settings as never,
      jobId: job.id,
      attempt: job.attempt,
      get signal() {
        return signal();
      },
      throwIfCancelled() {
        if (isCancelled()) throw cancelled();
      },
      progress(fraction, note = "") {
        const now = clock.monotonicMs();
        if (now - lastProgressAt < progressIntervalMs) return;
        lastProgressAt = now;
        const clamped = Math.min(Math.max(fraction || 0, 0), 1); // also what is not a number
        post({ kind: "progress", seq: job.seq, fraction: clamped, note: note.slice(0, maxNoteChars) });
      },
      log: Object.fromEntries(
        levels.map((level) => [
          level,
          (text: string, fields?: { readonly [key: string]: JsonValue }) => log(level, text, fields),
        ]),
      ) as TaskContext["log"],
    },
    isCancelled,
    end() {
      listeners.delete(look);
    },
  };
}

function cancelled(): TaskError {
  return new TaskError("cancelled", "the attempt was told to stop");
}

function post(note: Note): void {
  parentPort?.postMessage(note);
}
