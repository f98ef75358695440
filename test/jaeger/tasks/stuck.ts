/** For what happens to a job while it runs. */
import { existsSync, writeFileSync } from "node:fs";
import { setTimeout as pause } from "node:timers/promises";
import { defineTask } from "../../../src/pool/task.ts";

export default defineTask({
  name: "stuck",
  pool: "io",
  description: "Says that it has begun by a file, and goes on until another is there or it is asked to stop.",
  retry: { maxAttempts: 3, baseMs: 20, maxBackoffMs: 20, jitter: "none" },
  async run(input, ctx) {
    const { path } = input as { readonly path: string };
    writeFileSync(`${path}.begun`, "");
    while (!existsSync(path)) await pause(5, undefined, { signal: ctx.signal });
    return { attempt: ctx.attempt };
  },
});
