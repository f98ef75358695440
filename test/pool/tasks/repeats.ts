import { parentPort } from "node:worker_threads";
import { defineTask } from "../../../src/pool/task.ts";

/** Says once more how the first job of a chunk ended, as a thread does whose words come late. */
export default defineTask({
  name: "repeats",
  pool: "tried",
  run(where, ctx) {
    const outcomes = [{ output: null, startedAt: 0, tookMs: 0 }];
    parentPort?.postMessage({ kind: "ended", ...(where as object), from: 0, outcomes });
    ctx.log.info("repeated"); // by the same road, so whoever hears it knows that the words before it were heard
    return null;
  },
});
