import { defineTask } from "../../../src/pool/task.ts";

/** Ends the process that runs it with this signal. */
export default defineTask({
  name: "kills",
  pool: "tried",
  run: (signal) => {
    process.kill(process.pid, String(signal));
    return new Promise<never>(() => {});
  },
});
