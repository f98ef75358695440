import { parentPort } from "node:worker_threads";
import { packOutcomes } from "../../../src/pool/packed-outcomes.ts";
import { defineTask } from "../../../src/pool/task.ts";

/** Reports once more how the first job of a chunk ended, as a thread does whose message arrives late. */
export default defineTask({
  name: "repeats",
  pool: "tried",
  run(where, ctx) {
    const outcomes = packOutcomes([[0, 0, null, null]], 0);
    parentPort?.postMessage({ kind: "ended", ...(where as object), from: 0, outcomes });
    ctx.log.info("repeated"); // by the same port, so whoever gets it has got the message before it
    return null;
  },
});
