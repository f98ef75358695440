import { defineTask } from "../../../src/pool/task.ts";

export default defineTask({
  name: "echo",
  pool: "tried",
  run(input, ctx) {
    ctx.log.debug("begun");
    return input;
  },
});
