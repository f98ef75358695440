import { defineTask } from "../../../src/pool/task.ts";

/** `no-op`: what a job costs when the work itself is nothing. */
export default defineTask({
  name: "no-op",
  pool: "cpu",
  description: "Does nothing, for the bench.",
  run: () => undefined,
});
