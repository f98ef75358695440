/** What one watch of a job holds for its reader: bounded, with the number of updates that were dropped. */
import type { JsonValue } from "../../job/job.ts";
import type { Progress } from "../../pool/pool.ts";

export type LogLine = {
  readonly level: "debug" | "info" | "warn" | "error";
  readonly text: string;
  readonly fields: { readonly [key: string]: JsonValue };
  readonly attempt: number;
  /** Milliseconds since 1970. */
  readonly at: number;
};

/**
 * What happens to a job. `event` grows with every update, also from one server process to the next, because it starts at the
 * wall clock.
 */
export type JobUpdate = { readonly event: number } & (
  | { /** The job may have another state now: read it from the store. */ readonly kind: "changed" }
  | { readonly kind: "progress"; readonly progress: Progress }
  | { readonly kind: "log"; readonly line: LogLine }
  | { /** This many lines and reports were dropped here. */ readonly kind: "dropped"; readonly count: number }
);

/** Log lines from before the watch, and how many of them are gone. */
export type KeptUpdate = Extract<JobUpdate, { kind: "log" | "dropped" }>;

export type JobWatch = {
  /** The next update; the first is `changed`. Null once the watch is closed. One call at a time. */
  next(): Promise<JobUpdate | null>;
  /** The job's state as its reader has read it, see `faceOf`: a poll that finds another one hands out a `changed`. */
  saw(face: string | undefined): void;
  /** Ends once everything is handed out. */
  finish(): void;
  close(): void;
};

export type WatchQueue = Omit<JobWatch, "saw"> & {
  /** Its state may have changed. Of several that wait only the last is handed out: it comes behind the lines before it. */
  changed(event: number): void;
  push(update: Extract<JobUpdate, { kind: "progress" | "log" }>): void;
};

export type WatchOptions = {
  /** Lines from before, which come right behind the first `changed`. */
  readonly kept: readonly KeptUpdate[];
  /** Number of the first `changed`. */
  readonly firstEvent: number;
  /** Called once. */
  readonly onClose: () => void;
};

/** Lines and reports of progress that wait for a slow reader, beside the kept ones; the oldest are dropped beyond it. */
const maxWaiting = 256;

export function createJobWatch({ kept, firstEvent, onClose }: WatchOptions): WatchQueue {
  const waiting: JobUpdate[] = [{ kind: "changed", event: firstEvent }, ...kept];
  const bound = waiting.length + maxWaiting;
  let isClosed = false;
  let isFinishing = false;
  let wake = () => {};

  function close(): void {
    if (isClosed) return;
    isClosed = true;
    waiting.length = 0;
    onClose();
    wake();
  }

  function add(update: JobUpdate): void {
    if (isClosed || isFinishing) return;
    waiting.push(update);
    while (waiting.length > bound && dropOldest());
    wake();
  }

  /** Counted in place, so that the reader learns where something is missing. */
  function dropOldest(): boolean {
    const index = waiting.findIndex(({ kind }) => kind === "progress" || kind === "log");
    const dropped = waiting[index];
    if (!dropped) return false;
    const before = waiting[index - 1];
    if (before?.kind === "dropped") {
      waiting.splice(index - 1, 2, { kind: "dropped", event: dropped.event, count: before.count + 1 });
    } else waiting[index] = { kind: "dropped", event: dropped.event, count: 1 };
    return true;
  }

  return {
    async next() {
      for (;;) {
        const update = waiting.shift();
        if (update) return update;
        if (isFinishing) close();
        if (isClosed) return null;
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
        wake = () => {};
      }
    },
    close,
    changed(event) {
      const index = waiting.findIndex(({ kind }) => kind === "changed");
      if (index !== -1 && waiting[index]?.event !== firstEvent) waiting.splice(index, 1);
      add({ kind: "changed", event });
    },
    push: add,
    finish() {
      isFinishing = true;
      wake();
    },
  };
}
