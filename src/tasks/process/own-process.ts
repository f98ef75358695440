/**
 * Initializes a process that `fork.ts` started. It kills itself when its parent is gone, however that died; by SIGKILL,
 * because a normal exit waits for native code. It ignores signals to the whole process group, such as Ctrl-C: the
 * server handles them by draining.
 */
import { writeFileSync } from "node:fs";
import { Worker } from "node:worker_threads";

/** Ends this process when the channel to the parent breaks; only noticed while the event loop runs. */
export function endWithParent(): void {
  process.once("disconnect", endNow);
  if (!process.connected) endNow();
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP", "SIGUSR2"] as const) process.on(signal, () => {});
  endFirst();
}

/** For a process whose event loop may be blocked: a thread reads from the parent's pipe, which ends when the parent is gone. */
export function endWithPipe(): void {
  const wait = `
    try { require("node:fs").readSync(4, new Uint8Array(1)); } catch {}
    process.kill(process.pid, "SIGKILL");`;
  new Worker(wait, { eval: true, resourceLimits: { maxOldGenerationSizeMb: 8, maxYoungGenerationSizeMb: 1 } }).unref();
}

export function endNow(): void {
  process.kill(process.pid, "SIGKILL");
}

/** Makes Linux kill this process instead of the server when memory runs out. */
function endFirst(): void {
  if (process.platform !== "linux") return;
  try {
    writeFileSync("/proc/self/oom_score_adj", "1000");
  } catch {
    // not permitted: Linux chooses a process itself
  }
}
