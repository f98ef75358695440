/** Has a job block its thread inside a call that Node cannot end. */
import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { appendFile, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { until } from "../support/until.ts";

/** A folder for tasks/blocks.ts. */
export async function blocking(t: TestContext) {
  const folder = await mkdtemp(join(tmpdir(), "millpond-pipe-"));
  t.after(() => rm(folder, { recursive: true }));
  const pipe = join(folder, "pipe");
  execFileSync("mkfifo", [pipe]);
  return {
    folder,
    /** Resolves once the thread is inside the call. */
    blocked: () => until(() => existsSync(join(folder, "mark"))),
    letGo: () => appendFile(pipe, "\n"),
  };
}
