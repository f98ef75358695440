/** The permits that a set-up acquires. If it fails they are released, because nothing else will release them. */
import type { Permits } from "../resource.ts";

export type SetUpPermits = {
  of(permits: Permits): Permits;
  /** From now on the resource itself releases them. */
  succeeded(): void;
  failed(): void;
};

export function createSetUpPermits(): SetUpPermits {
  let state: "runs" | "succeeded" | "failed" = "runs";
  const undo: (() => void)[] = [];

  function onFailure(action: () => void): void {
    if (state === "runs") undo.push(action);
    if (state === "failed") action();
  }

  return {
    of: (permits) => ({
      limit: permits.limit,
      async acquire(signal) {
        const permit = await permits.acquire(signal);
        onFailure(permit.release);
        if (state === "failed") throw new Error("the set-up that waited for a permit has failed");
        return permit;
      },
      onWanted(listener) {
        const stop = permits.onWanted(listener);
        onFailure(stop);
        return stop;
      },
    }),
    succeeded() {
      state = "succeeded";
      undo.length = 0;
    },
    failed() {
      state = "failed";
      for (const action of undo.splice(0)) action();
    },
  };
}
