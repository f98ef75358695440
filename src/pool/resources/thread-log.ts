/** The bounded log of a thread's resources, which live as long as the thread and could fill a disk. */
import type { Clock } from "../../clock.ts";
import { plain, textOf } from "../sanitize.ts";
import type { LogLevel, TaskLog } from "../task-log.ts";
import type { FromThread } from "./protocol.ts";

export type ThreadLog = { of(resource: string): TaskLog };

const maxLines = 20;
const perMs = 1_000;
const maxLineChars = 4096;

const levels: readonly LogLevel[] = ["debug", "info", "warn", "error"];

export function createThreadLog(clock: Clock, send: (message: FromThread) => void): ThreadLog {
  let sinceMs = Number.NEGATIVE_INFINITY;
  let lines = 0;

  function write(resource: string, level: LogLevel, text: unknown, fields: unknown): void {
    const nowMs = clock.monotonicMs();
    if (nowMs - sinceMs >= perMs) {
      if (lines > maxLines) sendLine(resource, "warn", `${lines - maxLines} log lines of resources were dropped`, {});
      sinceMs = nowMs;
      lines = 0;
    }
    lines += 1;
    if (lines <= maxLines)
      sendLine(resource, level, textOf(text, maxLineChars), fields === undefined ? {} : plain(fields));
  }

  function sendLine(resource: string, level: LogLevel, text: string, fields: ReturnType<typeof plain>): void {
    send({ kind: "log", resource, level, text, fields });
  }

  return {
    of(resource) {
      const methods = levels.map((level) => [
        level,
        (text: unknown, fields?: unknown) => write(resource, level, text, fields),
      ]);
      return Object.fromEntries(methods) as TaskLog;
    },
  };
}
