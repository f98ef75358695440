/** The driver as the conductor sees it: a process that is told how much to submit and says how far it is. */
import { fork } from "node:child_process";
import { fileURLToPath } from "node:url";
import type { Murder } from "../tasks/hash.ts";
import type { DriverOptions, Order, Progress } from "../driver/driver.ts";

export type Clients = {
  /** Resolves once they take orders. Rejects when the driver dies. */
  readonly ready: Promise<void>;
  /** Lets them submit up to this many jobs in all. */
  allow(jobs: number): void;
  /** Lets them submit one more, that ends its thread or its process. */
  murder(murder: Murder): void;
  readonly submitted: number;
  readonly done: number;
  /** Resolves as soon as this many jobs came to their end, or `signal` aborts. */
  reach(done: number, signal: AbortSignal): Promise<void>;
  /** Sees every job to its end; resolves with how many have none. Rejects when the driver dies. */
  finish(): Promise<number>;
  dispose(): void;
};

export function openClients(options: DriverOptions): Clients {
  const path = fileURLToPath(new URL("../driver/driver.ts", import.meta.url));
  const child = fork(path, [JSON.stringify(options)], { stdio: ["ignore", 2, 2, "ipc"] });
  const finished = Promise.withResolvers<number>();
  finished.promise.catch(() => undefined); // whoever waits for it sees it
  const ready = Promise.withResolvers<void>();
  ready.promise.catch(() => undefined); // the same
  const waiting = new Set<() => void>();
  let submitted = 0;
  let done = 0;
  child.on("message", (progress: Progress) => {
    if ("left" in progress) return finished.resolve(progress.left);
    ready.resolve();
    ({ submitted, done } = progress);
    for (const look of waiting) look();
    return undefined;
  });
  child.on("exit", (code, signal) => {
    for (const { reject } of [ready, finished]) reject(new Error(`the driver ended with ${code ?? signal}`));
  });
  const order = (what: Order) => void (child.connected && child.send(what));

  return {
    ready: ready.promise,
    allow: (jobs) => order({ jobs }),
    murder: (murder) => order({ murder }),
    get submitted() {
      return submitted;
    },
    get done() {
      return done;
    },
    reach: (wanted, signal) =>
      new Promise((resolve) => {
        const look = () => {
          if (done < wanted && !signal.aborted) return;
          waiting.delete(look);
          signal.removeEventListener("abort", look);
          resolve();
        };
        waiting.add(look);
        signal.addEventListener("abort", look);
        look();
      }),
    finish: () => {
      order({ finish: true });
      return finished.promise;
    },
    dispose: () => void child.kill("SIGKILL"),
  };
}
