import { DbBatchInputSchema, DbBatchOutputSchema } from "../gen/millpond/tasks/v1/db_pb.ts";
import { defineTask } from "../pool/task.ts";
import { databases } from "./db/databases.ts";
import { retry } from "./db/failures.ts";
import { askedForEach, checkAsked, workOf } from "./db/input.ts";

/**
 * `db.batch`: one statement for each of many sets of parameters, in one transaction. Documented in
 * docs/tasks/db.batch.md.
 */
export default defineTask({
  name: "db.batch",
  pool: "io",
  description: "Runs a statement of the configuration once for each set of parameters, all in one transaction.",
  input: DbBatchInputSchema,
  output: DbBatchOutputSchema,
  resources: { databases },
  retry,
  check: (input, _settings, { databases: configured }) => checkAsked(askedForEach(input), configured),
  async run(input, { resources, jobId, signal, span }) {
    const work = { ...workOf(askedForEach(input), resources.databases.settings, jobId), maxRows: undefined };
    const answer = await span("batch", () => resources.databases.run(input.database, work, signal));
    return { affected: String(answer.affected), sets: work.sets.length };
  },
});
