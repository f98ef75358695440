import { setTimeout as delay } from "node:timers/promises";
import { defineTask } from "../../../src/pool/task.ts";

/** `mixed`: takes as many milliseconds as its input says; computes while that is less than one, and waits otherwise. */
export default defineTask({
  name: "mixed",
  pool: "cpu",
  description: "Takes as long as it is told, for the bench.",
  async run(input) {
    const lastsMs = input as number;
    if (lastsMs >= 1) await delay(lastsMs);
    else for (const endsAt = performance.now() + lastsMs; performance.now() < endsAt; );
    return undefined;
  },
});
