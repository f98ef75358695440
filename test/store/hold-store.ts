/** Opens the store named on the command line, says so, and holds it until it is killed. */
import { stdout } from "node:process";
import { openSqliteStore } from "../../src/store/sqlite.ts";

await openSqliteStore({
  path: process.argv[2]!,
  onFailure: (error) => {
    throw error;
  },
});
stdout.write("open\n");
