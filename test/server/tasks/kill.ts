/** A job that ends the process that runs it. */
import { existsSync } from "node:fs";
import { defineTask } from "../../../src/pool/task.ts";

export default defineTask({
  name: "kill",
  pool: "held",
  description: "Sends a signal to its own process a while after a file is there.",
  retry: { baseMs: 1, maxBackoffMs: 1 },
  async run(input) {
    const { path, afterMs, signal } = input as { path: string; afterMs: number; signal: NodeJS.Signals };
    do await new Promise((resolve) => void setTimeout(resolve, afterMs));
    while (!existsSync(path));
    process.kill(process.pid, signal);
    return new Promise<never>(() => {});
  },
});
