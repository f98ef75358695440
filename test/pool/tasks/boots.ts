import { existsSync, rmSync } from "node:fs";
import { isMainThread } from "node:worker_threads";
import { defineTask } from "../../../src/pool/task.ts";

/** What the start of a thread does to it: `once:<file>` while the file is there, `always`, or `hangs`. */
const how = process.env["MILLPOND_TEST_BOOT"] ?? "";
const mark = how.startsWith("once:") ? how.slice(5) : undefined;

if (!isMainThread) {
  if (how === "hangs") await new Promise(() => setInterval(() => undefined, 60_000));
  const isMarked = mark !== undefined && existsSync(mark);
  if (isMarked) rmSync(mark);
  if (isMarked || how === "always") process.exit(5);
}

export default defineTask({ name: "boots", pool: "tried", run: () => "booted" });
