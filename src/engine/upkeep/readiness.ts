/** Why the server is not ready for jobs, as health, /readyz and the command line show it. */
import { EventEmitter, once } from "node:events";
import { type MillpondError, messageOf, refusal } from "../../errors.ts";

/** `draining` and `store_failed` last until the server ends; `disk_full` and `pool_broken` may be temporary. */
export const notReadyReasons = ["store_failed", "draining", "disk_full", "pool_broken"] as const;
export type NotReadyReason = (typeof notReadyReasons)[number];

export type NotReady = {
  readonly reason: NotReadyReason;
  /** The problem and the remedy, for people. */
  readonly message: string;
  /** The pool; only for `pool_broken`. */
  readonly pool?: string;
};

/** A pool that an operator has paused, which does not make the server unready. */
type PausedPool = { readonly pool: string; readonly by: string; readonly since: string };

export type Readiness = {
  /** Empty: the server is ready. In the order of `notReadyReasons`. */
  reasons(): readonly NotReady[];
  /** The paused pools, shown as details. */
  paused(): readonly PausedPool[];
  /** Resolves when the reasons may have changed, or when the signal aborts. */
  changed(signal: AbortSignal): Promise<void>;
  /** Call it when the state of the disk or a pool has changed; the two signals are monitored here. */
  update(): void;
};

export type ReadinessParts = {
  /** Aborts when the server drains. */
  readonly draining: AbortSignal;
  /** Aborts when the store has failed, with the error as its reason. */
  readonly failed: AbortSignal;
  /** Why jobs are refused because of the disk; undefined: they are not. */
  readonly diskRefusal: () => MillpondError | undefined;
  /** Names of the pools that cannot run jobs. */
  readonly brokenPools: () => readonly string[];
  readonly pausedPools: () => readonly PausedPool[];
};

export function createReadiness({
  draining,
  failed,
  diskRefusal,
  brokenPools,
  pausedPools,
}: ReadinessParts): Readiness {
  const changes = new EventEmitter().setMaxListeners(0);
  const update = () => void changes.emit("changed");
  for (const signal of [draining, failed]) signal.addEventListener("abort", update, { once: true });

  return {
    reasons() {
      const reasons: NotReady[] = [];
      const add = (reason: NotReadyReason, message: string, of: { readonly pool?: string } = {}) =>
        void reasons.push({ reason, message, ...of });
      if (failed.aborted) add("store_failed", refusal("store_failed", [messageOf(failed.reason)]).message);
      if (draining.aborted) add("draining", "the server drains: it takes no jobs and starts none");
      const full = diskRefusal();
      if (full) add("disk_full", full.message);
      for (const pool of brokenPools()) {
        add("pool_broken", `pool "${pool}" has no worker that could run a job: the server's log says why`, { pool });
      }
      return reasons;
    },
    paused: pausedPools,
    async changed(signal) {
      if (!signal.aborted) await once(changes, "changed", { signal }).catch(() => undefined); // it was aborted
    },
    update,
  };
}
