/** A job that never lets its thread go: not even its signal reaches it. */
import { existsSync, writeFileSync } from "node:fs";
import { defineTask } from "../../../src/pool/task.ts";

export default defineTask({
  name: "spin",
  pool: "cpu",
  description: "Blocks its thread until a file exists; another, `PATH.begun`, says that it began.",
  run(input) {
    const { path } = input as { readonly path: string };
    writeFileSync(`${path}.begun`, "");
    let looks = 0;
    while (!existsSync(path)) looks += 1;
    return { looks };
  },
});
