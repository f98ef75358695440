import { SleepInputSchema, SleepOutputSchema } from "../../../src/gen/millpond/tasks/v1/diagnostic_pb.ts";
import { defineTask } from "../../../src/pool/task.ts";

/** Tells what it was given: its settings, its attempt, its input. */
export default defineTask({
  name: "typed",
  pool: "tried",
  input: SleepInputSchema,
  output: SleepOutputSchema,
  settings: ({ factor = 1 }) => ({ factor: Number(factor) }),
  run: ({ durationMs }, { settings, attempt }) => ({ sleptMs: durationMs * settings.factor + attempt }),
});
