import { defineTask } from "../pool/task.ts";

/** `echo`: returns its input. For trying out a client, and for measuring the overhead of a job. */
export default defineTask({
  name: "echo",
  pool: "cpu",
  description: "Returns its input: any JSON, bytes, or nothing.",
  run: (input) => input,
});
