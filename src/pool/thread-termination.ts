/** Threads that were told to end. Node cannot end one that is inside a native call before that call returns. */
import type { Worker } from "node:worker_threads";
import type { Clock } from "../clock.ts";
import { createSignal } from "../lifecycle.ts";

export type Ending = {
  /** The thread was told to end; calls back once it has. */
  watch(thread: Worker, onEnded: () => void): void;
  /** Resolves once every thread that was told to has ended. */
  allEnded(): Promise<void>;
};

export function createEnding(): Ending {
  const ending = new Set<Promise<void>>();
  return {
    watch(thread, onEnded) {
      const done = createSignal();
      ending.add(done.promise);
      thread.once("exit", () => {
        ending.delete(done.promise);
        done.fire();
        onEnded();
      });
    },
    async allEnded() {
      await Promise.all(ending);
    },
  };
}

/** Waits for a promise that does not reject, but not for ever: false when it took longer. */
export async function within(clock: Clock, limitMs: number, done: Promise<void>): Promise<boolean> {
  const late = createSignal<boolean>();
  const cancel = clock.after(limitMs, () => late.fire(false));
  const isDone = await Promise.race([done.then(() => true), late.promise]);
  cancel();
  return isDone;
}
