import { execFileSync } from "node:child_process";
import { setImmediate } from "node:timers/promises";
import { defineTask } from "../../../src/pool/task.ts";

/**
 * Waits, inside a call that Node cannot end, until somebody writes to `<folder>/pipe`; `<folder>/mark` says that it does. With
 * `{ later: folder }` not before it has waited for something else.
 */
export default defineTask({
  name: "blocks",
  pool: "tried",
  run(given: string | { readonly later: string }) {
    const wait = (cwd: string) => execFileSync("sh", ["-c", "touch mark; read line < pipe"], { cwd }).length;
    return typeof given === "string" ? wait(given) : setImmediate(given.later).then(wait);
  },
});
