/** The queue of updates of one watch of a job: bounded, with the number of dropped updates. */
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
 * An update of a job. `event` increases with every update, also across restarts of the server, because it starts at the
 * wall clock.
 */
export type JobUpdate = { readonly event: number } & (
  | { /** The job's state may have changed: read it from the store. */ readonly kind: "changed" }
  | { readonly kind: "progress"; readonly progress: Progress }
  | { readonly kind: "log"; readonly line: LogLine }
  | {
      /** This many log lines and progress reports were dropped here. */ readonly kind: "dropped";
      readonly count: number;
    }
);

/** Log lines from before the watch, and the number of lost ones. */
export type KeptUpdate = Extract<JobUpdate, { kind: "log" | "dropped" }>;

export type JobWatch = {
  /** The next update; the first is `changed`. Null once the watch is closed. One call at a time. */
  next(): Promise<JobUpdate | null>;
  /** The state that the reader has read, see `fingerprintOf`: when a poll finds another one, a `changed` follows. */
  saw(fingerprint: string | undefined): void;
  /** Ends the watch after the queued updates. */
  finish(): void;
  close(): void;
};

export type WatchQueue = Omit<JobWatch, "saw"> & {
  /** The state may have changed. Of several queued `changed` only the last is kept, behind the lines before it. */
  changed(event: number): void;
  push(update: Extract<JobUpdate, { kind: "progress" | "log" }>): void;
};

export type WatchOptions = {
  /** Lines from before the watch, which follow the first `changed`. */
  readonly kept: readonly KeptUpdate[];
  /** The `event` of the first `changed`. */
  readonly firstEvent: number;
  /** Called once. */
  readonly onClose: () => void;
};

/** Bound on the queued lines and progress reports besides the kept ones; beyond it the oldest are dropped. */
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

  /** Replaces the oldest by a count in its place, so that the reader knows where updates are missing. */
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
