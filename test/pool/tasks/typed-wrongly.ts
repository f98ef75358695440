import { SleepOutputSchema } from "../../../src/gen/millpond/tasks/v1/diagnostic_pb.ts";
import { defineTask } from "../../../src/pool/task.ts";

export default defineTask({
  name: "typed-wrongly",
  pool: "tried",
  output: SleepOutputSchema,
  run: () => new Map([["sleptMs", 1]]) as never,
});
