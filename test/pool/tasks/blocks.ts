import { execFileSync } from "node:child_process";
import { defineTask } from "../../../src/pool/task.ts";

/** Waits, inside a call that Node cannot end, until somebody writes to `<folder>/pipe`; `<folder>/mark` says that it does. */
export default defineTask({
  name: "blocks",
  pool: "tried",
  run: (folder) => execFileSync("sh", ["-c", "touch mark; read line < pipe"], { cwd: String(folder) }).length,
});
