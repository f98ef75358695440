/** Histories as files of JSON lines that are only ever appended to. */
import { appendFileSync, closeSync, existsSync, fstatSync, openSync, readSync } from "node:fs";
import type { Event } from "./event.ts";

export type EventLog = {
  write(event: Event): void;
  /** Writes what is still in memory. */
  flush(): void;
};

const flushBytes = 64 * 1024;
const readBytes = 1024 * 1024;

const monotonicMs = () => Number(process.hrtime.bigint() / 1_000n) / 1_000;
/** When the machine's monotonic clock began, as the first process of a run took it: its children have it from there. */
const originMs = Number((process.env["NEMESIS_ORIGIN_MS"] ??= String(Date.now() - monotonicMs())));

/**
 * Milliseconds since 1970 on the monotonic clock, the same in all processes and threads: `Date` may be what a fault has
 * moved, or the machine sets right between two starts.
 */
export const now = () => Math.round((originMs + monotonicMs()) * 1000) / 1000;

/** For a process that nobody kills: it gathers lines before it writes them. */
export function openLog(path: string): EventLog {
  let gathered: string[] = [];
  let size = 0;
  const flush = () => {
    if (size > 0) appendFileSync(path, gathered.join(""));
    gathered = [];
    size = 0;
  };
  return {
    flush,
    write: (event) => {
      const line = `${JSON.stringify(event)}\n`;
      gathered.push(line);
      size += line.length;
      if (size > flushBytes) flush();
    },
  };
}

/**
 * The events of several files, in the order of their times. A last line without an end is what a kill cut short, and is
 * left out; any other line that is no JSON throws. A file that is not there throws too: nothing to read is no proof.
 */
export function readEvents(paths: readonly string[]): Event[] {
  const events: Event[] = [];
  for (const path of paths) for (const line of linesOf(path)) events.push(JSON.parse(line, intern) as Event);
  return events.sort((one, other) => one.at - other.at);
}

/** Reads on in a file that grows: each call gives the whole lines that came since the one before. */
export function openTail(path: string): () => readonly Event[] {
  let offset = 0;
  return () => {
    if (!existsSync(path)) return [];
    const file = openSync(path, "r");
    try {
      const size = fstatSync(file).size - offset;
      const bytes = Buffer.alloc(size);
      const read = readSync(file, bytes, 0, size, offset);
      const end = bytes.subarray(0, read).lastIndexOf(10) + 1;
      offset += end;
      return bytes
        .toString("utf8", 0, end)
        .split("\n")
        .filter(Boolean)
        .map((line) => JSON.parse(line) as Event);
    } finally {
      closeSync(file);
    }
  };
}

const known = new Map<string, string>();

/** Ids come many times: one copy of each is enough for a million jobs. */
function intern(key: string, value: unknown): unknown {
  if (typeof value !== "string" || !/^(id|as|run|client|channel|kind|stream|state)$/.test(key)) return value;
  const same = known.get(value);
  if (same !== undefined) return same;
  known.set(value, value);
  return value;
}

function* linesOf(path: string): Generator<string> {
  const file = openSync(path, "r");
  try {
    const bytes = Buffer.alloc(readBytes);
    const decoder = new TextDecoder();
    let rest = "";
    for (let size = readSync(file, bytes); size > 0; size = readSync(file, bytes)) {
      const lines = (rest + decoder.decode(bytes.subarray(0, size), { stream: true })).split("\n");
      rest = lines.pop()!;
      yield* lines;
    }
  } finally {
    closeSync(file);
  }
}
