import { defineTask } from "../../../src/pool/task.ts";

function push() {
  throw new Error("a job has replaced it");
}

/** Replaces what the code of its worker uses as well. */
export default defineTask({
  name: "breaks",
  pool: "tried",
  run() {
    Object.assign(Array.prototype, { push });
    return null;
  },
});
