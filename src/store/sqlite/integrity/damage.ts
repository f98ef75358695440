import type { Failure } from "../../../job/job.ts";

/** What of a job is damaged; its state: with attempts, deadline and their like. */
export type Damaged = "input" | "output" | "state";

export type Damage = {
  /** Reports it to the operator, once for each, and gives what the job has to say instead of what cannot be delivered. */
  found(what: Damaged, id: string): Failure;
  /** Reports that something of the queue was wrong; the jobs themselves are whole. */
  inQueue(what: string): void;
  /** Reports that it is not known any more which job an idempotency key belongs to. */
  keyFreed(key: string): void;
  /** Reports that what an operator said of a pool is not known any more, so that the configuration applies. */
  overridesLost(pool: string): void;
};

/** Sentences remembered; beyond it all may be reported again. */
const remembered = 10_000;

/**
 * Bytes on the disk that are not those that were written. Damage to one job affects that job alone: the others go on,
 * and wrong bytes are never delivered.
 */
export function createDamage(report: (sentence: string) => void): Damage {
  const reported = new Set<string>();

  function reportOnce(sentence: string): void {
    if (reported.size >= remembered) reported.clear();
    if (!reported.has(sentence)) report(sentence);
    reported.add(sentence);
  }

  return {
    found: (what, id) => {
      const message = `the stored ${what} of job ${id} does not match its checksum: the file is damaged`;
      reportOnce(message);
      return { reason: "damaged", message, retryable: false };
    },
    inQueue: (what) => reportOnce(`${what} in the queue is not what was written: the file is damaged`),
    keyFreed: (key) =>
      reportOnce(`the row of idempotency key ${key} does not match its checksum, so it is free: the file is damaged`),
    overridesLost: (pool) =>
      reportOnce(
        `the row of pool ${JSON.stringify(pool)} that says whether it is paused or resized does not match its checksum, ` +
          "so the configuration applies: the file is damaged",
      ),
  };
}
