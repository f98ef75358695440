/** A job that holds its thread: nothing else runs there, no timer, no message, until it is over. */
import { appendFileSync } from "node:fs";
import { defineTask } from "../../../src/pool/task.ts";

export type BlockInput = {
  readonly forMs: number /** Each execution adds a line to this file. */;
  readonly log: string;
};

export default defineTask({
  name: "block",
  pool: "cpu",
  description: "Blocks its thread for a while.",
  run(input, { attempt }) {
    const { forMs, log } = input as BlockInput;
    appendFileSync(log, `${attempt}\n`);
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, forMs);
    return null;
  },
});
