/** The links of a pool's threads to the host of resources. */
import type { MessagePort, Worker } from "node:worker_threads";
import type { Clock } from "../../clock.ts";
import { createSignal, type Signal } from "../../lifecycle.ts";
import { within } from "../thread-termination.ts";
import type { ResourceHost } from "./host.ts";
import type { FromThread, PoolResource, ToThread } from "./protocol.ts";

export type ResourceLinks = {
  /** A thread that has loaded its tasks opens its port; undefined: it is gone already. */
  open(thread: Worker | undefined, port: MessagePort): void;
  /** Has threads that run nothing tear down what they set up. Resolves once they have, and after `graceMs` in any case. */
  tearDown(): Promise<void>;
};

type Link = { readonly port: MessagePort; readonly ended: Signal; isTold: boolean };

export type ResourceLinksParts = {
  readonly pool: string;
  /** What the tasks of its threads use. */
  readonly resources: readonly PoolResource[];
  readonly host: Pick<ResourceHost, "join">;
  readonly clock: Clock;
  readonly graceMs: number;
  /** Whether the thread is known to run nothing. */
  readonly isIdle: (thread: Worker) => boolean;
  /** A thread that was idle for long is about to end. */
  readonly onRetired: (thread: Worker) => void;
};

export function createResourceLinks(parts: ResourceLinksParts): ResourceLinks {
  const { pool, resources, host, clock, graceMs, isIdle, onRetired } = parts;
  const uses = resources.map(({ name }) => name);
  const probed = resources.filter(({ hasProbe }) => hasProbe).map(({ name }) => name);
  const links = new Map<Worker, Link>();

  async function tearDown(meant: readonly Link[]): Promise<void> {
    if (meant.length === 0) return;
    for (const link of meant) {
      if (link.isTold) continue;
      link.isTold = true;
      link.port.ref();
      link.port.postMessage({ kind: "end" } satisfies ToThread);
    }
    await within(
      clock,
      graceMs,
      Promise.all(meant.map(({ ended }) => ended.promise)).then(() => {}),
    );
  }

  /** For piscina just terminates a thread that was idle for long. */
  function tearDownBeforeEnd(thread: Worker, link: Link): void {
    const terminate = thread.terminate.bind(thread);
    thread.terminate = async () => {
      if (isIdle(thread) && !link.isTold) {
        onRetired(thread);
        await tearDown([link]);
      }
      return terminate();
    };
  }

  return {
    open(thread, port) {
      if (!thread) return port.close();
      const link = { port, ended: createSignal(), isTold: false };
      const member = host.join({ pool, uses, probed, send: (message) => port.postMessage(message) });
      links.set(thread, link);
      tearDownBeforeEnd(thread, link);
      port.on("message", (message: FromThread) => {
        if (message.kind === "ended") link.ended.fire();
        else member.receive(message);
      });
      port.unref(); // a pool keeps the process alive while it has something to do
      thread.once("exit", () => {
        links.delete(thread);
        link.ended.fire();
        port.close();
        member.leave(); // not before: until then its connections may be open
      });
    },
    tearDown: () => tearDown([...links].filter(([thread]) => isIdle(thread)).map(([, link]) => link)),
  };
}
