/** The links of a pool's threads to the host of resources. */
import type { MessagePort, Worker } from "node:worker_threads";
import type { Clock } from "../../clock.ts";
import { createSignal, type Signal, within } from "../../lifecycle.ts";
import type { ResourceHost } from "./host.ts";
import type { FromThread, PoolResource, ToThread } from "./protocol.ts";

export type ResourceLinks = {
  /** Links a thread that has loaded its tasks; undefined: it has already ended. */
  open(thread: Worker | undefined, port: MessagePort): void;
  /** Makes idle threads tear down their resources. Resolves once they have, after `graceMs` at the latest. */
  tearDown(): Promise<void>;
};

type Link = { readonly port: MessagePort; readonly ended: Signal; isEnding: boolean };

export type ResourceLinksParts = {
  readonly pool: string;
  /** The resources of the pool's tasks. */
  readonly resources: readonly PoolResource[];
  /** Those that every thread can probe. */
  readonly probed: readonly PoolResource[];
  readonly host: Pick<ResourceHost, "join">;
  readonly clock: Clock;
  readonly graceMs: number;
  /** Whether the thread is known to be idle. */
  readonly isIdle: (thread: Worker) => boolean;
  /** Called when an idle thread is about to end. */
  readonly onRetired: (thread: Worker) => void;
};

export function createResourceLinks(parts: ResourceLinksParts): ResourceLinks {
  const { pool, resources, host, clock, graceMs, isIdle, onRetired } = parts;
  const [uses, probed] = [resources, parts.probed].map((list) => list.map(({ name }) => name)) as [string[], string[]];
  const links = new Map<Worker, Link>();

  async function tearDown(meant: readonly Link[]): Promise<void> {
    if (meant.length === 0) return;
    for (const link of meant) {
      if (link.isEnding) continue;
      link.isEnding = true;
      link.port.ref();
      link.port.postMessage({ kind: "end" } satisfies ToThread);
    }
    await within(clock, graceMs, Promise.all(meant.map(({ ended }) => ended.promise)));
  }

  /** Intercepts the end of an idle thread, because piscina terminates it without a teardown. */
  function tearDownBeforeEnd(thread: Worker, link: Link): void {
    const terminate = thread.terminate.bind(thread);
    thread.terminate = async () => {
      if (isIdle(thread) && !link.isEnding) {
        onRetired(thread);
        await tearDown([link]);
      }
      return terminate();
    };
  }

  return {
    open(thread, port) {
      if (!thread) return port.close();
      const link = { port, ended: createSignal(), isEnding: false };
      const member = host.join({ pool, uses, probed, send: (message) => port.postMessage(message) });
      links.set(thread, link);
      tearDownBeforeEnd(thread, link);
      port.on("message", (message: FromThread) => {
        if (message.kind === "ended") link.ended.fire();
        else member.receive(message);
      });
      port.unref(); // the port must not keep the process alive
      thread.once("exit", () => {
        links.delete(thread);
        link.ended.fire();
        port.close();
        member.leave(); // not earlier: until then its connections may be open
      });
    },
    tearDown: () => tearDown([...links].filter(([thread]) => isIdle(thread)).map(([, link]) => link)),
  };
}
