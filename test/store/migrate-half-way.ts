/** Applies the store's migrations and the one in a file to a store; SQL's `die()` kills the process in the middle. */
import { DatabaseSync } from "node:sqlite";
import { pathToFileURL } from "node:url";
import { migrate, migrations } from "../../src/store/sqlite/thread/migrate.ts";

const [path, next] = process.argv.slice(2) as [string, string];
const db = new DatabaseSync(path);
db.function("die", () => {
  process.kill(process.pid, "SIGKILL");
  return 0;
});
migrate(db, [...migrations, pathToFileURL(next)]);
