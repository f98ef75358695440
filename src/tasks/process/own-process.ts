/**
 * What a process that `fork.ts` starts does first. It ends by itself when its parent is gone, however that died; SIGKILL,
 * because an ordinary exit waits for native code. Signals to the whole process group, such as Ctrl-C, are the server's: it
 * drains.
 */
import { writeFileSync } from "node:fs";
import { Worker } from "node:worker_threads";

/** The channel to the parent breaks when that is gone; noticed only while the event loop turns. */
export function endWithParent(): void {
  process.once("disconnect", endNow);
  if (!process.connected) endNow();
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP", "SIGUSR2"] as const) process.on(signal, () => {});
  endFirst();
}

/** For a process whose loop may stand still: a thread reads from the parent's pipe, which ends when the parent is gone. */
export function endWithPipe(): void {
  const wait = `
    try { require("node:fs").readSync(4, new Uint8Array(1)); } catch {}
    process.kill(process.pid, "SIGKILL");`;
  new Worker(wait, { eval: true, resourceLimits: { maxOldGenerationSizeMb: 8, maxYoungGenerationSizeMb: 1 } }).unref();
}

export function endNow(): void {
  process.kill(process.pid, "SIGKILL");
}

/** When memory runs out, Linux kills this process and not the server. */
function endFirst(): void {
  if (process.platform !== "linux") return;
  try {
    writeFileSync("/proc/self/oom_score_adj", "1000");
  } catch {
    // not allowed here: Linux chooses
  }
}
