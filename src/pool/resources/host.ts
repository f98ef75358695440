/** The server's side of resources: what threads ask for and say, of all pools and of suspects' processes. */
import type { Log } from "../../log.ts";
import { createHealthBoard, type PartHealth } from "./health-board.ts";
import { createPermitBook, type PermitCount } from "./permits.ts";
import type { FromThread, PoolResource, ToThread } from "./words.ts";

export type ResourceHost = {
  /** A thread has started, and hears by `tell`. */
  join(pool: string, tell: (word: ToThread) => void): Member;
  /** Threads that start from now on use these; what others still hold of former ones stays theirs. */
  replace(resources: readonly PoolResource[]): void;
  permits(): readonly PermitCount[];
  /** Every part that is known, well or not. */
  parts(): readonly PartHealth[];
};

/** A thread. */
export type Member = {
  hear(word: FromThread): void;
  /** It has ended: what it held is given to others. */
  leave(): void;
};

export type ResourceHostParts = {
  readonly resources: readonly PoolResource[];
  readonly now: () => number;
  /** Called when a part is known for the first time, away, or well again. */
  readonly onChanged: () => void;
  readonly log: Log;
};

export function createResourceHost({ resources, now, onChanged, log }: ResourceHostParts): ResourceHost {
  const book = createPermitBook();
  const board = createHealthBoard(now);
  const holders = new Set<{ tell(word: ToThread): void }>();

  function report({ resource, part, problem }: Extract<FromThread, { kind: "report" }>): void {
    const change = board.set({ resource, part, problem });
    if (change === "same") return;
    const fields = { resource, ...(part !== "" && { part }) };
    if (change === "away") log.warn({ ...fields, problem }, "a resource has a problem");
    if (change === "back") log.info(fields, "a resource is well again");
    for (const holder of holders) holder.tell({ kind: "reported", resource, part, problem });
    onChanged();
  }

  function replace(used: readonly PoolResource[]): void {
    book.replace(used);
    board.replace(used);
  }

  replace(resources);
  return {
    replace,
    join(pool, tell) {
      const holder = { tell };
      holders.add(holder);
      for (const part of board.parts()) tell({ ...part, kind: "reported" });
      return {
        hear(word) {
          switch (word.kind) {
            case "acquire":
              return book.acquire(holder, word, word.number);
            case "release":
              return book.release(holder, word.number);
            case "listen":
              return book.listen(holder, word);
            case "report":
              return report(word);
            case "log":
              return log[word.level]({ pool, resource: word.resource, fields: word.fields }, word.text);
            default:
          }
        },
        leave() {
          holders.delete(holder);
          book.leave(holder);
        },
      };
    },
    permits: book.counts,
    parts: board.parts,
  };
}
