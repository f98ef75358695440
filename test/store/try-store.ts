/** Opens the store at its argument, prints what keeps it from being opened, and closes it. */
import { openSqliteStore } from "../../src/store/sqlite.ts";

const path = process.argv[2]!;
await openSqliteStore({ path, onFailure() {} }).then(
  (store) => store.close(),
  ({ name, message }: Error) => process.stdout.write(`${name}: ${message}\n`),
);
