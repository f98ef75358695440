import { DbExecuteInputSchema, DbExecuteOutputSchema } from "../gen/millpond/tasks/v1/db_pb.ts";
import { defineTask } from "../pool/task.ts";
import { databases } from "./db/databases.ts";
import { retry } from "./db/failures.ts";
import { askedOnce, checkAsked, workOf } from "./db/input.ts";
import { rowsOf } from "./db/rows.ts";

/**
 * `db.execute`: a statement of the configuration that writes, in a transaction. Documented in docs/tasks/db.execute.md.
 */
export default defineTask({
  name: "db.execute",
  pool: "io",
  description: "Runs a statement of the configuration that writes to a database, in a transaction of its own.",
  input: DbExecuteInputSchema,
  output: DbExecuteOutputSchema,
  resources: { databases },
  retry,
  check: (input, _settings, { databases: configured }) => checkAsked(askedOnce(input), configured),
  async run(input, { resources, jobId, signal, span }) {
    const work = workOf(askedOnce(input), resources.databases.settings, jobId);
    const answer = await span("execute", () => resources.databases.run(input.database, work, signal));
    return { ...rowsOf(answer), affected: String(answer.affected) };
  },
});
