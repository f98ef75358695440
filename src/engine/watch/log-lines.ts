/** The last lines that jobs wrote, for those who begin to watch later. Bounded as a whole; the oldest lines go first. */
import type { JobUpdate, KeptUpdate } from "./job-watch.ts";

type LineUpdate = Extract<JobUpdate, { kind: "log" }>;

export type LogLines = {
  add(job: string, line: LineUpdate): void;
  /** Lines of a job behind this event, oldest first; before them, how many are gone, if any are. */
  after(job: string, event: number): readonly KeptUpdate[];
};

const maxLinesPerJob = 256;
/** Bound on all lines, in characters. */
const maxSize = 4 * 1024 * 1024;
/** What a line takes beside its text. */
const lineSize = 128;

type JobLines = {
  readonly lines: LineUpdate[];
  /** Lines that are gone, and the event of the last of them. */
  dropped: number;
  droppedEvent: number;
  size: number;
};

export function createLogLines(): LogLines {
  /** The job that wrote last stands last. */
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
      // a job that has been silent for longest goes as a whole; one that fills all of it loses its own oldest
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
