import { defineTask } from "../../../src/pool/task.ts";

/** Names its process before it does what it is asked to: `end`, or wait until it is asked to stop, or for ever. */
export default defineTask({
  name: "names",
  pool: "tried",
  run(how, { log, progress, signal }) {
    progress(0.5, "half");
    log.info("here", { pid: process.pid });
    if (how === "end") return process.pid;
    return new Promise<never>((_, reject) => {
      if (how === "wait") signal.addEventListener("abort", () => reject(signal.reason as Error));
    });
  },
});
