/**
 * Runs the probes of a thread, never concurrently with an attempt that uses the same resource, so that its code need
 * not handle that.
 */
import type { Clock } from "../../clock.ts";
import { createSignal } from "../../lifecycle.ts";
import { textOf } from "../sanitize.ts";
import { probeMs } from "./probes.ts";
import type { FromThread } from "./protocol.ts";

export type ThreadProbes = {
  /** The server requests a probe. */
  ask(resource: string): void;
  /** An attempt starts that uses these resources: aborts their probes, and resolves once they have ended. */
  cut(resources: ReadonlySet<string>): Promise<void> | undefined;
  /** An attempt has ended: its resources may be probed now. */
  ended(): void;
};

export type ThreadProbesParts = {
  readonly clock: Clock;
  readonly send: (message: FromThread) => void;
  /** Runs the resource's own probe. Rejects with the problem, unless it was already reported. */
  readonly probe: (resource: string, signal: AbortSignal) => Promise<void>;
  /** Whether an attempt uses the resource now. */
  readonly isUsed: (resource: string) => boolean;
  /** Whether this thread waits for a permit of the resource. */
  readonly isWaiting: (resource: string) => boolean;
  readonly report: (resource: string, problem: string | undefined) => void;
};

type RunningProbe = { readonly cut: () => void; readonly ended: Promise<void> };

export function createThreadProbes(parts: ThreadProbesParts): ThreadProbes {
  const { clock, send, probe, isUsed, isWaiting, report } = parts;
  const running = new Map<string, RunningProbe>();
  /** Resources to probe once no attempt uses them. */
  const waiting = new Set<string>();

  function start(resource: string): void {
    const stop = new AbortController();
    const late = createSignal<never>();
    let isCut = false;
    const cancel = clock.after(probeMs, () => {
      if (isWaiting(resource)) isCut = true; // all permits are in use, which is not a problem
      const error = new Error(`no answer within ${probeMs} ms`);
      stop.abort(error);
      late.fail(error);
    });
    const probing = probe(resource, stop.signal);
    const finish = (problem: string | undefined) => {
      cancel();
      if (!isCut) report(resource, problem);
      send({ kind: "probed", resource, isCut });
    };
    const ended = probing.then(
      () => {},
      () => {},
    );
    void ended.then(() => running.delete(resource));
    void Promise.race([probing, late.promise]).then(
      () => finish(undefined),
      (error: unknown) => finish(textOf(error, 1000)),
    );
    const cut = () => {
      isCut = true;
      stop.abort(new Error("an attempt uses the resource"));
    };
    running.set(resource, { cut, ended });
  }

  return {
    ask(resource) {
      if (isUsed(resource)) waiting.add(resource);
      else if (!running.has(resource)) start(resource);
    },
    cut(resources) {
      if (running.size === 0) return undefined;
      const meant = [...running].filter(([resource]) => resources.has(resource)).map(([, each]) => each);
      for (const { cut } of meant) cut();
      return meant.length === 0 ? undefined : Promise.all(meant.map(({ ended }) => ended)).then(() => {});
    },
    ended() {
      for (const resource of waiting) {
        if (isUsed(resource)) continue;
        waiting.delete(resource);
        if (!running.has(resource)) start(resource);
      }
    },
  };
}
