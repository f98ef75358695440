/** The links of a pool's threads to the host of resources. */
import type { MessagePort, Worker } from "node:worker_threads";
import type { Clock } from "../../clock.ts";
import { createSignal, type Signal } from "../../lifecycle.ts";
import { within } from "../ending.ts";
import type { ResourceHost } from "./host.ts";
import type { FromThread, PoolResource, ToThread } from "./words.ts";

export type ResourceLinks = {
  /** A thread that has loaded its tasks opens its port; undefined: it is gone already. */
  open(thread: Worker | undefined, port: MessagePort): void;
  /** Has threads tear down what they set up. Resolves once they have, and after `limitMs` in any case. */
  tearDown(limitMs: number, isMeant: (thread: Worker) => boolean): Promise<void>;
};

type Link = { readonly port: MessagePort; readonly ended: Signal };

export type ResourceLinksParts = {
  readonly pool: string;
  /** What the tasks of its threads use. */
  readonly resources: readonly PoolResource[];
  readonly host: Pick<ResourceHost, "join">;
  readonly clock: Clock;
};

export function createResourceLinks({ pool, resources, host, clock }: ResourceLinksParts): ResourceLinks {
  const probed = resources.filter(({ hasProbe }) => hasProbe).map(({ name }) => name);
  const links = new Map<Worker, Link>();

  return {
    open(thread, port) {
      if (!thread) return port.close();
      const ended = createSignal();
      const member = host.join({ pool, probed, tell: (word) => port.postMessage(word) });
      links.set(thread, { port, ended });
      port.on("message", (word: FromThread) => {
        if (word.kind === "ended") ended.fire();
        else member.hear(word);
      });
      port.unref(); // a pool keeps the process alive while it has something to do
      thread.once("exit", () => {
        links.delete(thread);
        ended.fire();
        port.close();
        member.leave(); // not before: until then its connections may be open
      });
    },
    async tearDown(limitMs, isMeant) {
      const meant = [...links].filter(([thread]) => isMeant(thread)).map(([, link]) => link);
      if (meant.length === 0) return;
      for (const { port } of meant) {
        port.ref();
        port.postMessage({ kind: "end" } satisfies ToThread);
      }
      await within(
        clock,
        limitMs,
        Promise.all(meant.map(({ ended }) => ended.promise)).then(() => {}),
      );
    },
  };
}
