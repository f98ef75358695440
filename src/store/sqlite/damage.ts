import type { Failure } from "../../job/job.ts";
import { damagedFailure } from "./text.ts";

/** What of a job is damaged; its state: with attempts, deadline and their like. */
export type Damaged = "input" | "output" | "state";

export type Damage = {
  /** Tells the operator, once for each, and gives what the job has to say instead of what cannot be delivered. */
  found(what: Damaged, id: string): Failure;
  /** Tells the operator, once for each, of an id that was damaged and is known all the same. */
  mended(id: string): void;
};

/** Told ones remembered; beyond it all may be told again. */
const remembered = 10_000;

/**
 * Bytes on the disk that are not those that were written. One job's bytes are that job's misfortune: the others go on,
 * and wrong bytes are never delivered.
 */
export function createDamage(tell: (sentence: string) => void): Damage {
  const told = new Set<string>();

  function tellOnce(sentence: string): void {
    if (told.size >= remembered) told.clear();
    if (!told.has(sentence)) tell(sentence);
    told.add(sentence);
  }

  return {
    found: (what, id) => {
      const failure = damagedFailure(`the stored ${what} of job ${id}`);
      tellOnce(failure.message);
      return failure;
    },
    mended: (id) => tellOnce(`the stored id of job ${id} is damaged, and its index still has it: the file is damaged`),
  };
}
