/** Another task that shares the lines. */
import { threadId } from "node:worker_threads";
import { defineTask } from "../../../../src/pool/task.ts";
import { linesOut } from "../lines-out.ts";

export default defineTask({
  name: "line-too",
  pool: "tried",
  resources: { out: linesOut },
  async run(input, { resources: { out }, signal }) {
    await out.send(input, signal);
    return threadId;
  },
});
