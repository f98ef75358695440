/** What of an attempt stays in its thread, or beside it. */
import { execFile, spawn } from "node:child_process";
import { promisify } from "node:util";
import { defineTask, type TaskContext } from "../../../src/pool/task.ts";

const kept = globalThis as { count?: number };
/** Runs until it is killed, and says that it runs. */
const endless = ["-e", "console.log('runs'); setInterval(() => {}, 1e6)"];

const ways: { readonly [way: string]: (ctx: TaskContext) => unknown } = {
  global: () => (kept.count = (kept.count ?? 0) + 1),
  child: () => spawn(process.execPath, endless, { stdio: "ignore" }).pid,
  // as docs/tasks/threads.md has it
  async childWithSignal(ctx) {
    const running = promisify(execFile)(process.execPath, endless, { signal: ctx.signal, killSignal: "SIGKILL" });
    running.child.stdout?.once("data", () => ctx.log.info("child", { pid: running.child.pid ?? 0 }));
    await running;
  },
};

export default defineTask({
  name: "keeps",
  pool: "tried",
  run: (way, ctx) => ways[way as string]?.(ctx) as number,
});
