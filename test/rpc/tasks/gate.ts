/** A job that a test holds in its hand: it connects to the test, says which attempt it is, and waits to be told its end. */
import { connect } from "node:net";
import { createInterface } from "node:readline";
import { defineTask, TaskError } from "../../../src/pool/task.ts";
import type { LogLevel } from "../../../src/pool/task-log.ts";

export type GateInput = { readonly port: number /** Does not listen to its signal. */; readonly stubborn?: boolean };

/** What the test may have it say: progress when there is a fraction, else a line of its log. */
export type Saying = { readonly text: string; readonly level?: LogLevel; readonly fraction?: number };

export default defineTask({
  name: "gate",
  pool: "held",
  description: "Runs until the test lets it go.",
  retry: { baseMs: 1, maxBackoffMs: 1 },
  async run(input, { jobId, attempt, signal, progress, log }) {
    const { port, stubborn = false } = input as GateInput;
    const socket = connect(port, "127.0.0.1");
    const onAbort = () => socket.destroy(signal.reason as Error);
    if (!stubborn) signal.addEventListener("abort", onAbort, { once: true });
    try {
      socket.write(`${jobId} ${attempt}\n`);
      socket.on("error", () => undefined);
      let told: string | undefined;
      for await (const line of createInterface({ input: socket })) {
        told = line;
        if (!line.startsWith("say ")) break;
        const { level, text, fraction } = JSON.parse(line.slice(4)) as Saying;
        if (fraction !== undefined) progress(fraction, text);
        else log[level ?? "info"](text, { attempt });
      }
      if (!stubborn) signal.throwIfAborted();
      if (told === "pass") return { jobId, attempt };
      throw new TaskError("told_to_fail", `the test said ${told}`);
    } finally {
      signal.removeEventListener("abort", onAbort);
      socket.destroy();
    }
  },
});
