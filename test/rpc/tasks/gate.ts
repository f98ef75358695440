/** A job that a test holds in its hand: it connects to the test, says which attempt it is, and waits to be told its end. */
import { connect } from "node:net";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { defineTask, TaskError } from "../../../src/pool/task.ts";

export type GateInput = { readonly port: number /** Does not listen to its signal. */; readonly stubborn?: boolean };

export default defineTask({
  name: "gate",
  pool: "held",
  description: "Runs until the test lets it go.",
  retry: { baseMs: 1, maxBackoffMs: 1 },
  async run(input, { jobId, attempt, signal }) {
    const { port, stubborn = false } = input as GateInput;
    const socket = connect(port, "127.0.0.1");
    const onAbort = () => socket.destroy(signal.reason as Error);
    if (!stubborn) signal.addEventListener("abort", onAbort, { once: true });
    try {
      socket.write(`${jobId} ${attempt}\n`);
      const lines = createInterface({ input: socket });
      socket.on("error", () => undefined);
      const [told] = (await Promise.race([
        once(lines, "line"),
        once(lines, "close"),
        once(socket, "close"),
      ])) as string[];
      if (!stubborn) signal.throwIfAborted();
      if (told === "pass") return { jobId, attempt };
      throw new TaskError("told_to_fail", `the test said ${told}`);
    } finally {
      signal.removeEventListener("abort", onAbort);
      socket.destroy();
    }
  },
});
