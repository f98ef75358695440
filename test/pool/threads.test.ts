/** What docs/tasks/threads.md says of globals and child processes. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { until } from "../support/until.ts";
import { job, shown, tryPool } from "./try-pool.ts";

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

test("a global that a job leaves is there for the next job of the thread, and not in another thread", async (t) => {
  const { run } = tryPool(t);
  assert.deepEqual(shown(await run("keeps", "global")), "succeeded json 1");
  assert.deepEqual(shown(await run("keeps", "global")), "succeeded json 2");
  assert.deepEqual(shown(await tryPool(t).run("keeps", "global")), "succeeded json 1");
});

test("a child process that nobody ends outlives the attempt and its thread", async (t) => {
  const { run, pool } = tryPool(t);
  const { outcome } = await run("keeps", "child");
  assert.equal(outcome.kind, "succeeded");
  assert.ok(outcome.output);
  const pid = Number(Buffer.from(outcome.output.bytes).toString());
  t.after(() => process.kill(pid, "SIGKILL"));
  await pool.destroy();
  assert.ok(isAlive(pid));
});

test("a child process that was given ctx.signal ends with the attempt", async (t) => {
  const { pool, events } = tryPool(t);
  const lease = job("keeps", "childWithSignal");
  const running = pool.run([lease]);
  await until(() => events.length > 0);
  const [{ event: line } = assert.fail()] = events;
  assert.ok(line.kind === "log");
  const { pid } = line.fields as { pid: number };
  assert.ok(isAlive(pid));
  pool.cancel(lease.seq);
  assert.deepEqual((await running).map(shown), ["cancelled"]);
  await until(() => !isAlive(pid));
});
