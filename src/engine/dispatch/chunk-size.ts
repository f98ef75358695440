/**
 * How many jobs to send to a thread at once. Sending costs more than running a tiny job, so tiny jobs go in chunks of
 * about `targetMs` of work, and longer ones alone, so that none waits behind another while a thread is free.
 */
import type { Lease } from "../../job/job.ts";

export type ChunkSize = {
  /** How many of these jobs, from the first on, make the next chunk: 1 to `max`, and none behind a long one. */
  cut(line: readonly Pick<Lease, "task">[]): number;
  /** Jobs that chunks of the tasks that ran lately have on average: 1 to `max`. */
  expected(): number;
  /** How long a job of a task took, in milliseconds. */
  record(task: string, tookMs: number): void;
};

const targetMs = 2;
/** What is left of an estimate's excess after each quicker job: one slow job keeps chunks small for about a hundred. */
const decay = 0.96;

/**
 * Each task has an estimate of its own, so that a slow one has no effect on a quick one in the same pool. It
 * jumps up to a slower job and sinks slowly; a job of which nothing is known goes alone.
 */
export function createChunkSize(max: number): ChunkSize {
  const estimates = new Map<string, { ms: number }>();
  /** What the jobs that ran lately weigh in a chunk on average, in milliseconds. */
  let weight = targetMs;

  const fitting = (eachMs: number) => Math.min(Math.max(Math.floor(targetMs / eachMs), 1), max);
  const expected = () => fitting(weight);

  return {
    cut(line) {
      const bound = Math.min(line.length, max);
      let sumMs = 0;
      let task: string | undefined;
      let eachMs = targetMs;
      for (let count = 0; count < bound; count += 1) {
        const each = (line[count] as Pick<Lease, "task">).task;
        if (each !== task) eachMs = estimates.get(each)?.ms ?? targetMs; // most lines are of one task
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
