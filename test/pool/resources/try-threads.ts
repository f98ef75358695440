/** The resources of threads, in one thread and by a fake clock: what they and the host post arrives a little later. */
import type { Resource } from "../../../src/pool/resource.ts";
import { createResourceHost } from "../../../src/pool/resources/host.ts";
import { createThreadResources } from "../../../src/pool/resources/thread-resources.ts";
import type { PoolResource } from "../../../src/pool/resources/protocol.ts";
import type { AnyTask } from "../../../src/pool/task.ts";
import { createFakeClock, turn } from "../../support/fake-clock.ts";
import { keptLog } from "../../support/samples.ts";

export function tryThreads<V>(definition: Resource<V, undefined>) {
  const clock = createFakeClock();
  const { log, lines } = keptLog();
  const resource: PoolResource = {
    name: definition.name,
    settings: null,
    permits: definition.permits?.(undefined) ?? {},
    hasProbe: definition.probe !== undefined,
  };
  const host = createResourceHost({ resources: [resource], clock, onChanged() {}, log });
  const task = { name: "tried", resources: { tried: definition } } as Partial<AnyTask> as AnyTask;

  function join() {
    const thread = createThreadResources({
      ...{ resources: [resource], clock },
      send: (message) => queueMicrotask(() => member.receive(message)),
    });
    const used = thread.usedBy(task);
    const member = host.join({
      ...{ pool: "tried", uses: [resource.name], probed: resource.hasProbe ? [resource.name] : [] },
      send: (message) => queueMicrotask(() => thread.receive(message)),
    });
    return {
      ...thread,
      /** An attempt that does `work` with the resource's value. */
      async attempt(work: (value: V) => unknown, signal = new AbortController().signal): Promise<void> {
        try {
          const values = await used?.begin(signal);
          await work(values?.["tried"] as V);
        } finally {
          used?.end();
        }
      },
    };
  }

  return {
    ...{ host, clock, lines, join },
    /** Lets time go by in small steps, and what is posted meanwhile arrive. */
    async pass(ms: number): Promise<void> {
      for (let passed = 0; passed < ms; passed += 50) {
        clock.advance(50);
        await turn();
      }
    },
  };
}
