/** The server's side of resources: handles the requests and reports of threads of all pools, including suspects' processes. */
import type { Clock } from "../../clock.ts";
import type { Log } from "../../log.ts";
import { createHealthBoard, type PartHealth } from "./health-board.ts";
import { createHealthLog } from "./health-log.ts";
import { createPermitBook, type PermitCount } from "./permits.ts";
import { createProbes } from "./probes.ts";
import type { FromThread, PartReport, PoolResource, ToThread } from "./protocol.ts";

export type ResourceHost = {
  join(thread: Joining): Member;
  /** Sets the resources of threads that start from now on; others keep the permits that they hold of previous ones. */
  replace(resources: readonly PoolResource[]): void;
  permits(): readonly PermitCount[];
  /** Every known part, healthy or not. */
  parts(): readonly PartHealth[];
  /** Stops all probing. */
  stop(): void;
};

/** A thread that has started. */
export type Joining = {
  readonly pool: string;
  /** Names of the resources that its tasks use, and of those that it can probe. */
  readonly uses: readonly string[];
  readonly probed: readonly string[];
  send(message: ToThread): void;
};

/** Reports to the host about a thread. */
export type Member = {
  receive(message: FromThread): void;
  /** The thread has ended: its permits are granted to others. */
  leave(): void;
};

export type ResourceHostParts = {
  readonly resources: readonly PoolResource[];
  readonly clock: Clock;
  /** Called when a part is first known, has a problem, or is healthy again. */
  readonly onChanged: () => void;
  readonly log: Log;
};

export function createResourceHost({ resources, clock, onChanged, log }: ResourceHostParts): ResourceHost {
  const book = createPermitBook();
  const board = createHealthBoard(clock);
  const healthLog = createHealthLog(clock, log);
  const probes = createProbes(clock, board.hasProblem);
  const threads = new Set<Joining>();

  function report({ resource, part, problem }: PartReport): void {
    const change = board.set({ resource, part, problem });
    if (change === "same") return;
    if (change !== "new") healthLog.changed({ resource, part, problem });
    for (const thread of threads) thread.send({ kind: "reported", resource, part, problem });
    if (change === "problem") probes.onProblem(resource);
    onChanged();
  }

  /**
   * Forgets problems of resources that no thread uses, because none would notice their end. The next thread that starts
   * detects them again.
   */
  function forgetUnused(names: readonly string[]): void {
    const isUsed = (name: string) => [...threads].some(({ uses }) => uses.includes(name));
    if (names.filter((name) => !isUsed(name) && board.forget(name)).length > 0) onChanged();
  }

  function replace(used: readonly PoolResource[]): void {
    book.replace(used);
    board.replace(used);
  }

  replace(resources);
  return {
    replace,
    join(thread) {
      threads.add(thread);
      for (const { resource, part, problem } of board.parts())
        thread.send({ kind: "reported", resource, part, problem });
      probes.join(thread, thread.probed);
      return {
        receive(message) {
          switch (message.kind) {
            case "acquire":
              return book.acquire(thread, message, message.number);
            case "release":
              return book.release(thread, message.number);
            case "listen":
              return book.listen(thread, message);
            case "report":
              return report(message);
            case "probed":
              return probes.probed(thread, message.resource, message.isCut);
            case "log":
              return log[message.level](
                { pool: thread.pool, resource: message.resource, fields: message.fields },
                message.text,
              );
            default:
          }
        },
        leave() {
          threads.delete(thread);
          probes.leave(thread);
          book.leave(thread);
          forgetUnused(thread.uses);
        },
      };
    },
    permits: book.counts,
    parts: board.parts,
    stop() {
      probes.stop();
      healthLog.stop();
    },
  };
}
