/** Reports how the first jobs of a chunk ended while the chunk goes on, so that they do not wait for a slow one behind them. */
import { parentPort } from "node:worker_threads";
import { systemClock as clock } from "../clock.ts";
import type { Chunk, ChunkOutcomes, ThreadMessage } from "./chunk.ts";
import { packOutcomes } from "./packed-outcomes.ts";

export type EarlyOutcomes = {
  /** A job is about to begin. */
  before(nowMs: number): void;
  /** The thread ends. */
  flush(): void;
  /** The chunk is over. */
  stop(): void;
};

/** Chunks are about 2 ms of work, so quick ones never get that far. */
const waitMs = 5;
/** How long an outcome waits while a job that leaves its thread's event loop alone goes on. */
const timerMs = 20;

/**
 * Posts what is new in `outcomes`: before a job begins, when 5 ms have passed since the last time, and 20 ms after that
 * while it runs. At most one timer is set at a time, and one message is sent for all that is new.
 *
 * What remains: no timer fires while a job blocks its thread. Jobs that ended within the 5 ms before it began have their
 * outcome when it ends; if its thread must be ended they are released, and run again.
 */
export function createEarlyOutcomes({ slot, number: chunk }: Chunk, outcomes: ChunkOutcomes): EarlyOutcomes {
  let posted = 0;
  let lastMs = clock.monotonicMs();
  let cancel: (() => void) | undefined;

  function post(nowMs: number): void {
    lastMs = nowMs;
    if (outcomes.length === posted) return;
    const ended = packOutcomes(outcomes, posted);
    parentPort?.postMessage({ kind: "ended", slot, chunk, from: posted, outcomes: ended } satisfies ThreadMessage);
    posted = outcomes.length;
  }

  function onTimer(): void {
    cancel = undefined;
    post(clock.monotonicMs());
  }

  return {
    before(nowMs) {
      if (outcomes.length === posted) return; // then no outcome waits for the job that begins
      if (nowMs - lastMs > waitMs) post(nowMs);
      else cancel ??= clock.after(timerMs, onTimer);
    },
    flush: () => post(clock.monotonicMs()),
    stop() {
      cancel?.();
    },
  };
}
