import { setTimeout as sleep } from "node:timers/promises";
import { defineTask } from "../../../src/pool/task.ts";

/** Sleeps for so many milliseconds; what tells it to stop does not wake it. */
export default defineTask({
  name: "naps",
  pool: "tried",
  async run(ms) {
    await sleep(Number(ms));
    return ms as number;
  },
});
