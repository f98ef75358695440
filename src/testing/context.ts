/** The context of an attempt under test, and a record of how it was used. */
import type { Clock } from "../clock.ts";
import type { JsonValue } from "../job/job.ts";
import type { SpanRecord } from "../job/trace.ts";
import type { StopReason } from "../pool/chunk.ts";
import { stopError } from "../pool/context.ts";
import { plain, textOf } from "../pool/sanitize.ts";
import { createSpanLogs, spanLogOf } from "../pool/span-log.ts";
import { createSpans } from "../pool/spans.ts";
import type { TaskContext } from "../pool/task.ts";
import type { LogLevel } from "../pool/task-log.ts";
import { traceToHandOn } from "../pool/trace-to-hand-on.ts";

/** A line that was written with `ctx.log`, by the task or by a resource. */
export type TriedLine = {
  readonly level: LogLevel;
  readonly text: string;
  readonly fields: { readonly [key: string]: JsonValue };
};

export type TriedProgress = { readonly fraction: number; readonly note: string };

export type AttemptRecord = {
  readonly context: TaskContext<never, never>;
  readonly progress: readonly TriedProgress[];
  readonly lines: TriedLine[];
  readonly spans: readonly SpanRecord[];
  /** The first reason for which it was asked to stop. */
  stopReason(): StopReason | undefined;
  stop(reason: StopReason): void;
  end(): void;
};

export type AttemptFacts = {
  readonly jobId: string;
  readonly attempt: number;
  readonly timeoutMs: number;
  readonly settings: unknown;
  readonly clock: Clock;
};

const levels: readonly LogLevel[] = ["debug", "info", "warn", "error"];
const maxLineChars = 4096;
const maxNoteChars = 200;

export function recordAttempt({ jobId, attempt, timeoutMs, settings, clock }: AttemptFacts): AttemptRecord {
  const controller = new AbortController();
  const progress: TriedProgress[] = [];
  const lines: TriedLine[] = [];
  const records: SpanRecord[] = [];
  const spans = createSpans(spanLogOf(createSpanLogs(), 0), 0);
  let reason: StopReason | undefined;
  let hasEnded = false;

  function stop(why: StopReason): void {
    if (hasEnded) return;
    reason ??= why;
    controller.abort(stopError(reason));
  }

  const cancelTimer = clock.after(timeoutMs, () => stop("timed_out"));
  const write = (level: LogLevel) => (text: unknown, fields?: unknown) =>
    void lines.push({
      level,
      text: textOf(text, maxLineChars),
      fields: fields === undefined ? {} : plain(fields),
    });
  const context = {
    settings,
    resources: {},
    ...{ jobId, attempt, deadlineAt: clock.now() + timeoutMs, signal: controller.signal },
    throwIfCancelled: () => controller.signal.throwIfAborted(),
    progress(fraction: unknown, note: unknown = "") {
      if (hasEnded) return;
      const clamped = typeof fraction === "number" ? Math.min(Math.max(fraction || 0, 0), 1) : 0; // NaN is 0 too
      progress.push({ fraction: clamped, note: textOf(note, maxNoteChars) });
    },
    span: <T>(name: string, code: () => T, attributes?: unknown): T =>
      hasEnded ? code() : spans.around(name, code, attributes),
    get trace() {
      return traceToHandOn({ id: jobId, fence: attempt, trace: null }, spans.innermost());
    },
    log: Object.fromEntries(levels.map((level) => [level, write(level)])) as TaskContext["log"],
  };
  return {
    context: context as TaskContext<never, never>,
    ...{ progress, lines, spans: records, stop },
    stopReason: () => reason,
    end() {
      cancelTimer();
      records.push(...spans.end().records);
      hasEnded = true;
      controller.abort(stopError("released")); // anything it left running is asked to stop, as in a worker
    },
  };
}
