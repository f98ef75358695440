import type { Failure } from "../../../job/job.ts";

/** The damaged part of a job. `state`: its columns, such as attempts and deadline. */
export type Damaged = "input" | "output" | "state";

export type Damage = ReturnType<typeof createDamage>;

/** Bound on remembered reports; beyond it, all may be reported again. */
const remembered = 10_000;

/**
 * Reports damage: bytes on disk that differ from what was written. Damage of one job only affects that job, and damaged
 * bytes are never delivered.
 */
export function createDamage(report: (sentence: string) => void) {
  const reported = new Set<string>();

  function reportOnce(sentence: string): void {
    if (reported.size >= remembered) reported.clear();
    if (!reported.has(sentence)) report(sentence);
    reported.add(sentence);
  }

  return {
    /** Reports damage of a job once, and returns the failure that replaces what cannot be delivered. */
    found: (what: Damaged, id: string): Failure => {
      const message = `the stored ${what} of job ${id} does not match its checksum: the file is damaged`;
      reportOnce(message);
      return { reason: "damaged", message, retryable: false };
    },
    /** The queue is damaged; the jobs themselves are intact. */
    inQueue: (what: string): void => reportOnce(`${what} in the queue is not what was written: the file is damaged`),
    /** The job of an idempotency key is unknown. */
    keyFreed: (key: string): void =>
      reportOnce(`the row of idempotency key ${key} does not match its checksum, so it is free: the file is damaged`),
    /** The overrides of a pool are unknown, so that the configuration applies. */
    overridesLost: (pool: string): void =>
      reportOnce(
        `the row of pool ${JSON.stringify(pool)} that says whether it is paused or resized does not match its checksum, ` +
          "so the configuration applies: the file is damaged",
      ),
  };
}
