import { defineTask } from "../../../src/pool/task.ts";

/** Tells when it has to be done by. */
export default defineTask({
  name: "tells",
  pool: "tried",
  timeoutMs: 5000,
  run: (_, { deadlineAt }) => ({ deadlineAt, now: Date.now() }),
});
