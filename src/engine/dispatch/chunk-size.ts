/**
 * How many jobs to send to a thread at once. Sending costs more than running a tiny job, so tiny jobs go in chunks of
 * about `targetMs` of work, and longer ones alone, so that none waits behind another while a thread is free.
 */
import type { Lease } from "../../job/job.ts";

export type ChunkSize = {
  /** How many of these jobs, from the first, form the next chunk: 1 to `max`, and none behind a long one. */
  cut(waiting: readonly Pick<Lease, "task">[]): number;
  /** Average size of chunks of the tasks that ran lately: 1 to `max`. */
  expected(): number;
  /** Records how long a job of a task took. */
  record(task: string, tookMs: number): void;
};

const targetMs = 2;
/**
 * Factor on the excess of an estimate after each quicker job: one slow job keeps chunks small for about a hundred jobs.
 */
const decay = 0.96;

/**
 * Each task has its own estimate, so that a slow task does not affect a quick one in the same pool. The estimate rises
 * to that of a slower job at once and sinks slowly. A job of an unknown task is sent alone.
 */
export function createChunkSize(max: number): ChunkSize {
  const estimates = new Map<string, { ms: number }>();
  /** The average share of a chunk that a job took lately, in milliseconds. */
  let weight = targetMs;

  const fitting = (eachMs: number) => Math.min(Math.max(Math.floor(targetMs / eachMs), 1), max);
  const expected = () => fitting(weight);

  return {
    cut(waiting) {
      const bound = Math.min(waiting.length, max);
      let sumMs = 0;
      let task: string | undefined;
      let eachMs = targetMs;
      for (let count = 0; count < bound; count += 1) {
        const each = (waiting[count] as Pick<Lease, "task">).task;
        if (each !== task) eachMs = estimates.get(each)?.ms ?? targetMs; // neighbours mostly have the same task
        task = each;
        sumMs += eachMs;
        if (sumMs > targetMs) return Math.max(count, 1);
      }
      return bound;
    },
    expected,
    record(task, measuredMs) {
      const tookMs = Math.max(measuredMs, 0);
      let known = estimates.get(task);
      if (!known) estimates.set(task, (known = { ms: targetMs }));
      const estimate = tookMs >= known.ms ? tookMs : tookMs + (known.ms - tookMs) * decay;
      known.ms = estimate;
      weight = Math.min(estimate, targetMs) * (1 - decay) + weight * decay;
    },
  };
}
