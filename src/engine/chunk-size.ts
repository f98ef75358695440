/**
 * How many jobs to send to a thread at once. Sending costs more than running a tiny job, so tiny jobs go in chunks of
 * about `targetMs` of work, and longer ones alone, so that none waits behind another while a thread is free.
 */
export type ChunkSize = {
  /** Jobs per chunk for now: 1 to `max`. */
  read(): number;
  /**
   * Jobs worth holding ready beyond those that run, so that a worker that is done need not wait for a lease and its
   * commit: one chunk of quick jobs, 0 while jobs are slow or nothing is known of them.
   */
  ahead(): number;
  /** How long a job took, in milliseconds. */
  record(tookMs: number): void;
};

const targetMs = 2;
/** Slower jobs gain nothing from being held ready, and another server might have a free worker for them. */
const aheadBelowMs = 100;
/** What is left of the estimate's excess after each quicker job: one slow job keeps chunks small for about a hundred. */
const decay = 0.96;

/** Starts with chunks of one, for nothing is known yet. The estimate jumps up to a slower job and sinks slowly. */
export function createChunkSize(max: number): ChunkSize {
  let estimateMs = targetMs;
  let isKnown = false;
  const read = () => Math.min(Math.max(Math.floor(targetMs / estimateMs), 1), max);
  return {
    read,
    ahead: () => (isKnown && estimateMs < aheadBelowMs ? read() : 0),
    record(tookMs) {
      isKnown = true;
      estimateMs = tookMs >= estimateMs ? tookMs : tookMs + (estimateMs - tookMs) * decay;
    },
  };
}
