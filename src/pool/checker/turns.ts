/** What waits to be checked: a line for each client, served in turn, so that no client waits for all that others submit. */
import type { MillpondError } from "../../errors.ts";
import type { CheckCall, CheckInput } from "./checks.ts";

/** Some inputs of one call. */
export type Batch = {
  readonly call: CheckCall;
  readonly inputs: readonly CheckInput[];
  /** Undefined: not checked yet. */
  readonly answers: (MillpondError | null | undefined)[];
  /** Since when no input of it was checked. */
  sinceMs: number;
  /** How many threads have ended over it. */
  broken: number;
  readonly done: (answers: readonly (MillpondError | null)[]) => void;
};

export type Turns = {
  isEmpty(): boolean;
  /** Puts a batch into its client's line: at its end, or before all that wait there. */
  add(batch: Batch, place: "last" | "first"): void;
  /** Takes the first of the client whose turn it is. */
  next(): Batch | undefined;
  /** Takes those out of which this is true, whatever their turn. */
  remove(isMeant: (batch: Batch) => boolean): readonly Batch[];
};

export function createTurns(): Turns {
  /** In the order of their turns; an empty line does not exist. */
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
