import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { job, shown, tryPool } from "./try-pool.ts";

describe("a worker that dies", () => {
  for (const [how, reason, message] of [
    ["exit", "worker_died", "the worker ended during this job: process.exit(3) was called"],
    ["uncaught", "task_failed", "nobody catches this"],
    ["rejection", "task_failed", "nobody handles this"],
    ["undefined", "task_failed", "undefined"],
    ["oddity", "task_failed", `{"toString":1,"valueOf":1}`],
  ] as const) {
    test(`by ${how}: the job it ran has failed with that, may be retried, and its neighbours are released`, async (t) => {
      const { pool, lines } = tryPool(t, { takesBack: false }); // or a slow machine takes the neighbour back before
      const ended = await pool.run([job("echo", 1), job("dies", how), job("echo", 2)]);
      assert.deepEqual(ended.map(shown), ["succeeded json 1", `failed ${reason}`, "released"]);
      const { outcome } = ended[1] ?? {};
      assert.ok(outcome?.kind === "failed" && outcome.failure.retryable);
      assert.equal(outcome.failure.message, message);
      const warnings = lines.filter(({ level }) => level === "warn").map(({ text }) => text);
      assert.deepEqual(warnings, ["a job threw an error that was not caught, and its worker is ended"]);
    });
  }

  for (const work of ["cpu", "io"] as const) {
    test(`is replaced, and its place is free again (${work})`, async (t) => {
      const { pool, run } = tryPool(t, { maxWorkers: 2, work });
      await run("dies", "exit");
      assert.equal(pool.workers(), 2);
      assert.equal(pool.free(), 2);
      const both = await Promise.all([run("echo", 1), run("echo", 2)]);
      assert.deepEqual(both.map(shown), ["succeeded json 1", "succeeded json 2"]);
    });
  }

  test("again and again leaves the pool as it was", async (t) => {
    const { pool, run } = tryPool(t);
    for (let death = 0; death < 5; death += 1) assert.equal(shown(await run("dies", "exit")), "failed worker_died");
    assert.equal(shown(await run("echo", "alive")), `succeeded json "alive"`);
    assert.equal(pool.workers(), 1);
  });

  test("does not touch the jobs of other threads", async (t) => {
    const { pool, run, heard } = tryPool(t, { maxWorkers: 2 });
    const waiting = run("waits", "finish");
    await heard("waiting");
    await run("dies", "exit");
    pool.releaseAll();
    assert.equal(shown(await waiting), `succeeded json "done"`);
  });

  test("because a job broke a global that its own code uses ends at once, and its jobs return to the queue", async (t) => {
    const { run, pool, lines, heard } = tryPool(t, { work: "io", concurrency: 4 });
    const beside = run("waits", "finish");
    await heard("waiting");
    assert.equal(shown(await run("breaks", null)), "released");
    assert.equal(shown(await beside), "released");
    assert.equal(shown(await run("echo", 1)), "succeeded json 1");
    assert.equal(pool.workers(), 1);
    const [warning, ...others] = lines.filter(({ level }) => level === "warn");
    assert.deepEqual(others, []);
    assert.match(
      warning?.text ?? "",
      /^a worker failed through unknown code, and is ended: its jobs return to the queue$/,
    );
    assert.match(String(warning?.fields["stack"]), /replaced it\n +at .*breaks\.ts:/);
  });

  test("says for how long the job ran", async (t) => {
    const { startedAt, finishedAt, tookMs } = await tryPool(t).run("dies", "exit");
    assert.ok(Math.abs(startedAt - Date.now()) < 60_000, `${startedAt}`);
    assert.ok(finishedAt >= startedAt && tookMs === finishedAt - startedAt, `${tookMs}`);
  });

  test("after its last job, before it could say how that went: it is to blame, and what ended before it keeps its outcome", async (t) => {
    const ended = await tryPool(t).pool.run([job("echo", 1), job("dies", "afterwards")]);
    assert.deepEqual(ended.map(shown), ["succeeded json 1", "failed worker_died"]);
  });
});

describe("places", () => {
  test("a job takes one while it runs, and what is sent when there is none is given back, with a line in the log", async (t) => {
    const { pool, run, heard, lines } = tryPool(t);
    const waiting = run("waits", "finish");
    await heard("waiting");
    assert.equal(pool.free(), 0);
    assert.equal(shown(await run("echo", 1)), "released");
    assert.deepEqual(
      lines.filter(({ level }) => level === "error").map(({ text }) => text),
      ["jobs were sent to a pool without a free worker and are released"],
    );
    pool.releaseAll();
    await waiting;
    assert.equal(pool.free(), 1);
  });

  test("threads beyond the minimum start when they are needed", async (t) => {
    const { pool, run, heard } = tryPool(t, { minWorkers: 1, maxWorkers: 2 });
    assert.equal(pool.workers(), 1);
    const waiting = [run("waits", "finish"), run("waits", "finish")];
    await heard("waiting", 2);
    assert.equal(pool.workers(), 2);
    pool.releaseAll();
    await Promise.all(waiting);
  });
});
