/** Tracks threads that are being terminated. Node cannot end a thread in a native call before that call returns. */
import type { Worker } from "node:worker_threads";
import { createSignal } from "../lifecycle.ts";

export type ThreadTerminations = {
  /** Tracks a thread that is being terminated; calls `onEnded` once it has ended. */
  watch(thread: Worker, onEnded: () => void): void;
  /** Resolves once every such thread has ended. */
  allEnded(): Promise<void>;
};

export function createThreadTerminations(): ThreadTerminations {
  const running = new Set<Promise<void>>();
  return {
    watch(thread, onEnded) {
      const done = createSignal();
      running.add(done.promise);
      thread.once("exit", () => {
        running.delete(done.promise);
        done.fire();
        onEnded();
      });
    },
    async allEnded() {
      await Promise.all(running);
    },
  };
}
