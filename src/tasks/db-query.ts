import { DbQueryInputSchema, DbQueryOutputSchema } from "../gen/millpond/tasks/v1/db_pb.ts";
import { defineTask } from "../pool/task.ts";
import { databases } from "./db/databases.ts";
import { retry } from "./db/failures.ts";
import { askedOnce, checkAsked, workOf } from "./db/input.ts";
import { rowsOf } from "./db/rows.ts";

/** `db.query`: reads rows of a database by a statement of the configuration. Documented in docs/tasks/db.query.md. */
export default defineTask({
  name: "db.query",
  pool: "io",
  description: "Reads rows from a database of the configuration by one of its statements. Safe to repeat.",
  input: DbQueryInputSchema,
  output: DbQueryOutputSchema,
  resources: { databases },
  retry,
  check: (input, _settings, { databases: configured }) => checkAsked(askedOnce(input), configured),
  async run(input, { resources, jobId, signal, span }) {
    const work = { ...workOf(askedOnce(input), resources.databases.settings, jobId), isReadOnly: true };
    return rowsOf(await span("query", () => resources.databases.run(input.database, work, signal)));
  },
});
