import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { job, shown, tryPool } from "./try-pool.ts";

describe("cancelAll", () => {
  for (const [how, expected] of [
    ["loop", "released"],
    ["signal", "released"],
    ["abortError", "released"],
    ["finish", `succeeded json "done"`],
    ["ownFailure", "failed own"],
  ] as const) {
    for (const work of ["cpu", "io"] as const) {
      test(`a job that takes it by ${how} has ${expected} (${work})`, async (t) => {
        const { pool, run, heard } = tryPool(t, { work });
        const waiting = run("waits", how);
        await heard("waiting");
        pool.cancelAll();
        assert.equal(shown(await waiting), expected);
      });
    }
  }

  test("the jobs behind it in the chunk do not begin, and are released", async (t) => {
    const { pool, heard, lines } = tryPool(t);
    const chunk = pool.run([job("waits", "signal"), job("echo", 1), job("echo", 2)]);
    await heard("waiting");
    pool.cancelAll();
    assert.deepEqual((await chunk).map(shown), ["released", "released", "released"]);
    assert.equal(lines.filter(({ text }) => text === "begun").length, 0);
  });

  test("jobs that come afterwards are released without being run", async (t) => {
    const { pool, run, lines } = tryPool(t);
    pool.cancelAll();
    assert.equal(shown(await run("echo", 1)), "released");
    assert.equal(lines.length, 0);
    assert.equal(pool.free(), 1);
  });

  test("a job is not told to stop by what its place was told before", async (t) => {
    const { pool, run, heard } = tryPool(t);
    assert.equal(shown(await run("gives", "null")), "succeeded json null");
    const waiting = run("waits", "signal");
    await heard("waiting");
    pool.cancelAll();
    assert.equal(shown(await waiting), "released");
  });
});

describe("destroy", () => {
  test("releases what is running, however deaf it is", async (t) => {
    const { pool, run, heard } = tryPool(t, { maxWorkers: 2 });
    const waiting = [run("waits", "deaf"), run("waits", "deaf")];
    await heard("waiting", 2);
    await pool.destroy();
    assert.deepEqual((await Promise.all(waiting)).map(shown), ["released", "released"]);
    assert.equal(pool.workers(), 0);
  });

  test("may be repeated, also at the same time", async (t) => {
    const { pool } = tryPool(t);
    await Promise.all([pool.destroy(), pool.destroy()]);
    await pool.destroy();
    assert.equal(pool.workers(), 0);
  });

  test("may be followed by a cancelAll", async (t) => {
    const { pool } = tryPool(t);
    await pool.destroy();
    pool.cancelAll();
  });

  test("is not a death worth a warning", async (t) => {
    const { pool, run, heard, lines } = tryPool(t);
    const waiting = run("waits", "deaf");
    await heard("waiting");
    await pool.destroy();
    await waiting;
    assert.deepEqual(
      lines.filter(({ level }) => level === "warn" || level === "error"),
      [],
    );
  });

  test("releases a job that is sent afterwards, and starts no thread for it", async (t) => {
    const { pool, run } = tryPool(t);
    await pool.destroy();
    assert.equal(shown(await run("echo", 1)), "released");
    assert.equal(pool.workers(), 0);
  });
});
