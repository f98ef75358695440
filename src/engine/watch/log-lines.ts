/** The latest log lines of jobs, for watches that start later. Bounded in total; the oldest lines are dropped first. */
import type { JobUpdate, KeptUpdate } from "./job-watch.ts";

type LineUpdate = Extract<JobUpdate, { kind: "log" }>;

export type LogLines = {
  add(job: string, line: LineUpdate): void;
  /** Lines of a job after this event, oldest first; preceded by the number of dropped ones, if there are any. */
  after(job: string, event: number): readonly KeptUpdate[];
};

const maxLinesPerJob = 256;
/** Bound on all lines, in characters. */
const maxSize = 4 * 1024 * 1024;
/** Approximate size of a line besides its text. */
const lineSize = 128;

type JobLines = {
  readonly lines: LineUpdate[];
  /** Number of dropped lines, and the event of the last of them. */
  dropped: number;
  droppedEvent: number;
  size: number;
};

export function createLogLines(): LogLines {
  /** In the order of their latest lines. */
  const jobs = new Map<string, JobLines>();
  let size = 0;

  function drop(job: JobLines): void {
    const line = job.lines.shift();
    if (!line) return;
    const freed = sizeOf(line);
    job.dropped += 1;
    job.droppedEvent = line.event;
    job.size -= freed;
    size -= freed;
  }

  return {
    add(name, line) {
      const job = jobs.get(name) ?? { lines: [], dropped: 0, droppedEvent: 0, size: 0 };
      jobs.delete(name);
      jobs.set(name, job);
      job.lines.push(line);
      job.size += sizeOf(line);
      size += sizeOf(line);
      if (job.lines.length > maxLinesPerJob) drop(job);
      // drops all lines of the job that was silent for longest; a job that fills everything loses its own oldest
      for (const [other, { size: freed }] of jobs) {
        if (size <= maxSize || other === name) break;
        jobs.delete(other);
        size -= freed;
      }
      while (size > maxSize && job.lines.length > 1) drop(job);
    },
    after(name, event) {
      const job = jobs.get(name);
      if (!job) return [];
      const lines = job.lines.filter((line) => line.event > event);
      if (job.droppedEvent <= event) return lines;
      return [{ kind: "dropped", event: job.droppedEvent, count: job.dropped }, ...lines];
    },
  };
}

function sizeOf({ line: { text, fields } }: LineUpdate): number {
  let chars = lineSize + text.length;
  for (const [name, value] of Object.entries(fields)) {
    chars += name.length + (typeof value === "string" ? value.length : JSON.stringify(value).length);
  }
  return chars;
}
