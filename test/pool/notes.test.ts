import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { turn } from "../support/fake-clock.ts";
import { job, tryPool } from "./try-pool.ts";

describe("log", () => {
  test("a line carries the job, its task, its attempt and the task's own fields", async (t) => {
    const { pool, lines, heard } = tryPool(t);
    const lease = { ...job("waits", "finish"), attempt: 2 };
    const running = pool.run([lease]);
    await heard("waiting");
    pool.cancelAll();
    await running;
    assert.deepEqual(lines[0], {
      level: "info",
      fields: { job: lease.id, task: "waits", attempt: 2, fields: {} },
      text: "waiting",
    });
  });

  test("at most 200 lines of an attempt, each cut to 4096 characters, and the last says that more were dropped", async (t) => {
    const { run, lines, heard } = tryPool(t);
    const last = "200 lines logged: further ones of this attempt are dropped";
    await run("talks", "much");
    await heard(last);
    assert.equal(lines.length, 200);
    assert.ok(lines.slice(0, -1).every(({ text }) => text.length === 4096));
    assert.equal(lines.at(-1)?.text, last);
  });
});

describe("progress", () => {
  for (const [how, expected] of [
    ["beyond", { fraction: 1, note: "n".repeat(200) }],
    ["below", { fraction: 0, note: "" }],
    ["nonsense", { fraction: 0, note: "" }],
    ["often", { fraction: 0.5, note: "step 0" }],
  ] as const) {
    test(`${how}: shown within its bounds while the job runs, and gone afterwards`, async (t) => {
      const { pool, heard } = tryPool(t);
      const lease = job("talks", how);
      const running = pool.run([lease]);
      await heard("said");
      assert.deepEqual(pool.progressOf(lease.seq), expected);
      pool.cancelAll();
      await running;
      assert.equal(pool.progressOf(lease.seq), undefined);
    });
  }

  test("a word that comes after the job's end is not kept", async (t) => {
    const { pool, run } = tryPool(t);
    const leases = Array.from({ length: 20 }, () => job("talks", "late"));
    for (const lease of leases) await pool.run([lease]);
    await run("echo", null);
    await turn();
    assert.deepEqual(
      leases.map(({ seq }) => pool.progressOf(seq)),
      leases.map(() => undefined),
    );
  });
});
