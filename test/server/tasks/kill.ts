/** A job that ends the process that runs it. */
import { defineTask } from "../../../src/pool/task.ts";

export default defineTask({
  name: "kill",
  pool: "held",
  description: "Sends a signal to its own process after a while.",
  retry: { baseMs: 1, maxBackoffMs: 1 },
  async run(input) {
    const { afterMs, signal } = input as { readonly afterMs: number; readonly signal: NodeJS.Signals };
    await new Promise((resolve) => void setTimeout(resolve, afterMs));
    process.kill(process.pid, signal);
    return new Promise<never>(() => {});
  },
});
