/** Queues of pending checks, one per client, served round-robin, so that no client waits for everything that others submit. */
import type { MillpondError } from "../../errors.ts";
import type { CheckCall, CheckInput } from "./checks.ts";

/** Some inputs of one call. */
export type Batch = {
  readonly call: CheckCall;
  readonly inputs: readonly CheckInput[];
  /** Undefined: not checked yet. */
  readonly answers: (MillpondError | null | undefined)[];
  /** When an input of it was last checked, or when it was added. */
  sinceMs: number;
  /** Number of threads that it has broken. */
  broken: number;
  readonly done: (answers: readonly (MillpondError | null)[]) => void;
};

export type Turns = {
  isEmpty(): boolean;
  /** Adds a batch to its client's queue, at the end or at the front. */
  add(batch: Batch, place: "last" | "first"): void;
  /** Removes and returns the first batch of the client whose turn it is. */
  next(): Batch | undefined;
  /** Removes and returns all batches for which this is true. */
  remove(isMeant: (batch: Batch) => boolean): readonly Batch[];
};

export function createTurns(): Turns {
  /** Queues by client, in the order of their turns; empty ones are removed. */
  const lines = new Map<string, Batch[]>();

  return {
    isEmpty: () => lines.size === 0,
    add(batch, place) {
      const line = lines.get(batch.call.client);
      if (!line) lines.set(batch.call.client, [batch]);
      else if (place === "last") line.push(batch);
      else line.unshift(batch);
    },
    next() {
      const [first] = lines;
      if (!first) return undefined;
      const [client, line] = first;
      lines.delete(client);
      const batch = line.shift();
      if (line.length > 0) lines.set(client, line);
      return batch;
    },
    remove(isMeant) {
      const removed: Batch[] = [];
      for (const [client, line] of lines) {
        const { yes = [], no } = Object.groupBy(line, (batch) => (isMeant(batch) ? "yes" : "no"));
        removed.push(...yes);
        if (no) lines.set(client, no);
        else lines.delete(client);
      }
      return removed;
    },
  };
}
