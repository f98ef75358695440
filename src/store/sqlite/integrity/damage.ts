import type { Failure } from "../../../job/job.ts";

/** What of a job is damaged; its state: with attempts, deadline and their like. */
export type Damaged = "input" | "output" | "state";

export type Damage = ReturnType<typeof createDamage>;

/** Sentences remembered; beyond it all may be reported again. */
const remembered = 10_000;

/**
 * Bytes on the disk that are not those that were written. Damage to one job affects that job alone: the others go on,
 * and wrong bytes are never delivered.
 */
export function createDamage(report: (sentence: string) => void) {
  const reported = new Set<string>();

  function reportOnce(sentence: string): void {
    if (reported.size >= remembered) reported.clear();
    if (!reported.has(sentence)) report(sentence);
    reported.add(sentence);
  }

  return {
    /** Reports it to the operator, once for each, and gives the failure that stands for what cannot be delivered. */
    found: (what: Damaged, id: string): Failure => {
      const message = `the stored ${what} of job ${id} does not match its checksum: the file is damaged`;
      reportOnce(message);
      return { reason: "damaged", message, retryable: false };
    },
    /** Something of the queue was wrong; the jobs themselves are whole. */
    inQueue: (what: string): void => reportOnce(`${what} in the queue is not what was written: the file is damaged`),
    /** It is not known any more which job an idempotency key belongs to. */
    keyFreed: (key: string): void =>
      reportOnce(`the row of idempotency key ${key} does not match its checksum, so it is free: the file is damaged`),
    /** What an operator changed of a pool is not known any more, so that the configuration applies. */
    overridesLost: (pool: string): void =>
      reportOnce(
        `the row of pool ${JSON.stringify(pool)} that says whether it is paused or resized does not match its checksum, ` +
          "so the configuration applies: the file is damaged",
      ),
  };
}
