/** The context of a running attempt, which is passed to its task. */
import { parentPort } from "node:worker_threads";
import { systemClock as clock } from "../clock.ts";
import type { JsonValue } from "../job/job.ts";
import type { ChunkJob, RecordedSpans, StopReason, ThreadMessage } from "./chunk.ts";
import { type Flags, stopReasonOf } from "./flags.ts";
import { type AttemptOrigin, runAs } from "./faults.ts";
import { plain, textOf } from "./sanitize.ts";
import type { Progress } from "./port.ts";
import { createReports, type Reports } from "./progress.ts";
import type { SpanLog } from "./span-log.ts";
import { createSpans, type Spans } from "./spans.ts";
import { TaskError, type TaskContext } from "./task.ts";
import type { LogLevel, TaskLog } from "./task-log.ts";
import { traceToHandOn } from "./trace-to-hand-on.ts";

/**
 * Bound on the log lines of one attempt; further ones are dropped. A line is logged when the bound is reached, and one
 * at the end with the number of dropped lines.
 */
const maxLogLines = 200;
const maxLogChars = 4096;
const maxNoteChars = 200;

const levels: readonly LogLevel[] = ["debug", "info", "warn", "error"];
const none = Object.freeze({});

export type AttemptContext = {
  readonly task: TaskContext<never, never>;
  /** Sets the values of the task's resources. */
  provide(resources: { readonly [name: string]: unknown }): void;
  /**
   * Ends the attempt: logs how many lines were dropped, removes its stop listener, and returns its last progress and
   * spans (undefined for most attempts). Anything the attempt left running is asked to stop from now on, and its
   * reports and spans are dropped.
   */
  end(): AttemptEnd | undefined;
};

/** The last progress report and the spans. */
export type AttemptEnd = { readonly progress: Progress | undefined; readonly spans: RecordedSpans | undefined };

/** The attempt's position in its chunk, and its bounds. */
export type Place = {
  readonly flags: Flags;
  /** Null: spans are not exported. */
  readonly spanLog: SpanLog | null;
  readonly slot: number;
  readonly index: number;
  readonly settings: unknown;
  readonly deadlineAt: number;
  readonly origin: AttemptOrigin;
};

/** Flag checks of this thread's attempts whose task uses `ctx.signal`. */
const listeners = new Set<() => void>();

/**
 * Checks the flags whenever a message arrives on the broadcast channel `bell`. `Atomics.waitAsync` would not need a
 * channel, but does not always wake a thread that idles in its event loop (seen on Node 26.10 under load).
 */
export function listenTo(bell: string): void {
  const channel = new BroadcastChannel(bell);
  channel.addEventListener("message", () => {
    for (const checkFlags of listeners) checkFlags();
  });
  channel.unref();
}

export function createContext(job: ChunkJob, place: Place): AttemptContext {
  const { flags, spanLog, slot, index } = place;
  const { seq, id, attempt } = job;
  let reports: Reports | undefined;
  let spans: Spans | undefined;
  let lines = 0;
  let hasEnded = false;
  let controller: AbortController | undefined;
  let written: TaskLog | undefined;
  let resources: { readonly [name: string]: unknown } = none;
  let checkFlags = () => {};

  /** Once the attempt has ended, the flags may belong to another chunk. */
  const stopReason = (): StopReason | undefined => (hasEnded ? "released" : stopReasonOf(flags, index));

  function signal(): AbortSignal {
    if (controller) return controller.signal;
    const created = new AbortController();
    controller = created;
    checkFlags = () => {
      const reason = stopReason();
      // the channel's handler runs outside of any job's context, but an error in an abort listener is this job's
      if (reason) runAs(place.origin, () => created.abort(stopError(reason)));
    };
    checkFlags();
    if (!hasEnded) listeners.add(checkFlags);
    return created.signal;
  }

  function log(level: LogLevel, text: unknown, fields: unknown): void {
    lines += 1;
    if (lines <= maxLogLines) postLine(level, textOf(text, maxLogChars), fields === undefined ? {} : plain(fields));
    else if (lines === maxLogLines + 1) {
      postLine("warn", `${maxLogLines} lines logged: further ones of this attempt are dropped`, {});
    }
  }

  function postLine(level: LogLevel, text: string, fields: { readonly [key: string]: JsonValue }): void {
    post({ kind: "log", slot, index, ...place.origin, level, text, fields });
  }

  function createLog(): TaskLog {
    const methods = levels.map((level) => [level, (text: unknown, fields?: unknown) => log(level, text, fields)]);
    return Object.fromEntries(methods) as TaskLog;
  }

  const task = new Context({
    settings: place.settings as never,
    jobId: id,
    attempt,
    deadlineAt: place.deadlineAt,
    throwIfCancelled() {
      const reason = stopReason();
      if (reason) throw stopError(reason);
    },
    progress(fraction: unknown, note: unknown = "") {
      if (hasEnded) return;
      const clamped = typeof fraction === "number" ? Math.min(Math.max(fraction || 0, 0), 1) : 0; // NaN is 0 too
      reports ??= createReports(clock, (report) => post({ kind: "progress", slot, index, seq, ...report }));
      reports.add({ fraction: clamped, note: textOf(note, maxNoteChars) });
    },
    span(name, code, attributes) {
      if (!spanLog || hasEnded) return code();
      spans ??= createSpans(spanLog, index);
      return spans.around(name, code, attributes);
    },
    signal,
    trace: () => traceToHandOn(job, spanLog === null ? undefined : (spans?.innermost() ?? -1)),
    resources: () => resources as never,
    log: () => (written ??= createLog()), // created lazily: most attempts log nothing
  });
  return {
    task,
    provide(values) {
      resources = values;
    },
    end() {
      if (lines > maxLogLines) postLine("warn", `${lines - maxLogLines} log lines of this attempt were dropped`, {});
      hasEnded = true;
      listeners.delete(checkFlags);
      if (reports || spans) return { progress: reports?.end(), spans: spans?.end() };
      return undefined;
    },
  };
}

type AnyContext = TaskContext<never, never>;
type Parts = Pick<
  AnyContext,
  "settings" | "jobId" | "attempt" | "deadlineAt" | "throwIfCancelled" | "progress" | "span"
> & {
  readonly [name in "signal" | "trace" | "resources" | "log"]: () => AnyContext[name];
};

/** A class, because getters on a prototype are free, and creating them on each object takes microseconds. */
class Context implements AnyContext {
  readonly settings: never;
  readonly jobId: string;
  readonly attempt: number;
  readonly deadlineAt: number;
  readonly throwIfCancelled: AnyContext["throwIfCancelled"];
  readonly progress: AnyContext["progress"];
  readonly span: AnyContext["span"];
  readonly #parts: Parts;

  constructor(parts: Parts) {
    this.settings = parts.settings;
    this.jobId = parts.jobId;
    this.attempt = parts.attempt;
    this.deadlineAt = parts.deadlineAt;
    this.throwIfCancelled = parts.throwIfCancelled;
    this.progress = parts.progress;
    this.span = parts.span;
    this.#parts = parts;
  }

  get signal() {
    return this.#parts.signal();
  }

  get trace() {
    return this.#parts.trace();
  }

  get resources() {
    return this.#parts.resources();
  }

  get log() {
    return this.#parts.log();
  }
}

const messages: Readonly<Record<StopReason, string>> = {
  cancelled: "the job was cancelled",
  timed_out: "the attempt took longer than its timeout",
  expired: "the job's deadline passed",
  released: "the attempt is released",
};

export function stopError(reason: StopReason): TaskError {
  return new TaskError(reason, `asked to stop: ${messages[reason]}`);
}

function post(message: ThreadMessage): void {
  parentPort?.postMessage(message);
}
