import { defineTask } from "../../../src/pool/task.ts";

export default defineTask({
  name: "dies",
  pool: "cpu",
  description: "Ends its thread.",
  run: () => process.exit(3),
});
