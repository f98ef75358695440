/** The resources of a task under test: the same code as in a worker, with the server's side in the same thread. */
import type { Clock } from "../clock.ts";
import { createSignal } from "../lifecycle.ts";
import type { Log } from "../log.ts";
import { createResourceHost } from "../pool/resources/host.ts";
import { createThreadResources } from "../pool/resources/thread-resources.ts";
import type { FromThread, PoolResource } from "../pool/resources/protocol.ts";
import type { AnyTask } from "../pool/task.ts";

export type TriedResources = {
  /** Sets up the resources that are not yet, and resolves with their values. */
  begin(signal: AbortSignal): Promise<{ readonly [name: string]: unknown }>;
  end(): void;
  /** Problems by resource, or by resource and part joined with a dot. */
  problems(): { readonly [part: string]: string };
  /** Tears down what was set up. */
  close(): Promise<void>;
};

export function openResources(
  task: AnyTask,
  resources: readonly PoolResource[],
  clock: Clock,
  log: Log,
): TriedResources {
  const host = createResourceHost({ resources, clock, onChanged() {}, log });
  const closed = createSignal();
  const receive = (message: FromThread) => (message.kind === "ended" ? closed.fire() : member.receive(message));
  const thread = createThreadResources({
    ...{ resources, clock },
    // asynchronously, as over a port
    send: (message) => queueMicrotask(() => receive(message)),
  });
  const used = thread.usedBy(task);
  const member = host.join({
    ...{ pool: task.pool, uses: [], probed: [] },
    send: (message) => queueMicrotask(() => thread.receive(message)),
  });
  return {
    begin: async (signal) => used?.begin(signal) ?? {},
    end: () => used?.end(),
    problems() {
      const away = host.parts().filter(({ problem }) => problem !== undefined);
      return Object.fromEntries(
        away.map(({ resource, part, problem = "" }) => [part === "" ? resource : `${resource}.${part}`, problem]),
      );
    },
    close() {
      host.stop();
      thread.receive({ kind: "end" });
      return closed.promise;
    },
  };
}
