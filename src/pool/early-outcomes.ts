/**
 * Reports the outcomes of a chunk's first jobs while the chunk continues, so that they do not wait for a slow job
 * behind them.
 */
import { parentPort } from "node:worker_threads";
import { systemClock as clock } from "../clock.ts";
import type { Chunk, ChunkOutcomes, ThreadMessage } from "./chunk.ts";
import { packOutcomes } from "./packed-outcomes.ts";

export type EarlyOutcomes = {
  /** Call it before a job starts. */
  before(nowMs: number): void;
  /** Posts everything now, because the thread ends. */
  flush(): void;
  /** Cancels the timer, because the chunk is over. */
  stop(): void;
};

/** Shortest time between two reports. Chunks are about 2 ms of work, so quick ones never reach it. */
const waitMs = 5;
/** How long an outcome waits while another job runs that does not block the event loop. */
const timerMs = 20;

/**
 * Posts new outcomes before a job starts if 5 ms have passed since the last report, and otherwise by a timer 20 ms
 * later while the job runs. At most one timer is set, and one message has all new outcomes.
 *
 * Limitation: no timer fires while a job blocks its thread. Outcomes from the 5 ms before such a job are reported when
 * it ends; if its thread has to be terminated, these jobs are released and run again.
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
      if (outcomes.length === posted) return; // no outcome is pending
      if (nowMs - lastMs > waitMs) post(nowMs);
      else cancel ??= clock.after(timerMs, onTimer);
    },
    flush: () => post(clock.monotonicMs()),
    stop() {
      cancel?.();
    },
  };
}
