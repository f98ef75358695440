/** A job that ends the process that runs it. */
import { existsSync } from "node:fs";
import { defineTask } from "../../../src/pool/task.ts";

type Input = {
  readonly path: string;
  readonly afterMs: number;
  readonly signal: NodeJS.Signals;
  readonly once?: boolean;
};

export default defineTask({
  name: "kill",
  pool: "held",
  description:
    "Sends a signal to its own process a while after a file is there; if `once`, its second attempt gives its trace.",
  retry: { baseMs: 1, maxBackoffMs: 1 },
  async run(input, ctx) {
    const { path, afterMs, signal, once } = input as Input;
    if (once && ctx.attempt > 1) return ctx.trace;
    do await new Promise((resolve) => void setTimeout(resolve, afterMs));
    while (!existsSync(path));
    process.kill(process.pid, signal);
    return new Promise<never>(() => {});
  },
});
