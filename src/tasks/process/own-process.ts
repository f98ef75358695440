/**
 * What a process that `fork.ts` starts does first. It ends by itself when its parent is gone, however that died; SIGKILL,
 * because an ordinary exit waits for native code. Signals to the whole process group, such as Ctrl-C, are the server's: it
 * drains.
 */
import { writeFileSync } from "node:fs";
import { Worker } from "node:worker_threads";

/** The channel to the parent breaks when that is gone; seen by an event loop that turns. */
export function endWithParent(): void {
  process.once("disconnect", endNow);
  if (!process.connected) endNow();
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP", "SIGUSR2"] as const) process.on(signal, () => {});
  endFirst();
}

/** For one whose loop may stand still: a thread reads from the parent's pipe, which ends when the parent is gone. */
export function endWithPipe(): void {
  const wait = `
    try { require("node:fs").readSync(4, new Uint8Array(1)); } catch {}
    process.kill(process.pid, "SIGKILL");`;
  new Worker(wait, { eval: true, resourceLimits: { maxOldGenerationSizeMb: 8, maxYoungGenerationSizeMb: 1 } }).unref();
}

export function endNow(): void {
  process.kill(process.pid, "SIGKILL");
}

/** When Linux runs out of memory, this process goes and the server stays. */
function endFirst(): void {
  if (process.platform !== "linux") return;
  try {
    writeFileSync("/proc/self/oom_score_adj", "1000");
  } catch {
    // Not allowed here: then Linux chooses.
  }
}
