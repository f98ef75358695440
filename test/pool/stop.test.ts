import assert from "node:assert/strict";
import { once } from "node:events";
import { describe, test } from "node:test";
import { createFakeClock } from "../support/fake-clock.ts";
import { job, shown, tryPool } from "./try-pool.ts";

describe("cancel", () => {
  for (const [how, expected] of [
    ["loop", "cancelled"],
    ["signal", "cancelled"],
    ["abortError", "cancelled"],
    ["ownFailure", "cancelled"],
    ["exit", "cancelled"],
    ["finish", `succeeded json "done"`],
    ["reason", `succeeded json "asked to stop: the job was cancelled"`],
  ] as const) {
    for (const work of ["cpu", "io"] as const) {
      test(`a job that takes it by ${how} has ${expected} (${work})`, async (t) => {
        const { pool, heard } = tryPool(t, { work });
        const lease = job("waits", how);
        const waiting = pool.run([lease]);
        await heard("waiting");
        assert.equal(pool.cancel(lease.seq), true);
        assert.deepEqual((await waiting).map(shown), [expected]);
      });
    }
  }

  test("a job that waits behind another is never run, and the others are", async (t) => {
    const clock = createFakeClock();
    const { pool, heard, lines } = tryPool(t, { clock });
    const [first, second, third] = [job("waits", "finish"), job("echo", 1), job("echo", 2)];
    const chunk = pool.run([first, second, third]);
    await heard("waiting");
    assert.equal(pool.cancel(second.seq), true);
    assert.equal(pool.cancel(first.seq), true);
    assert.deepEqual((await chunk).map(shown), [`succeeded json "done"`, "cancelled", "succeeded json 2"]);
    await heard("begun");
    assert.equal(lines.filter(({ text }) => text === "begun").length, 1);
  });

  test("a job that is told while its input is decoded does not reach its task", async (t) => {
    const { pool, lines } = tryPool(t);
    const channel = new BroadcastChannel("decodes");
    t.after(() => channel.close());
    const decoding = once(channel, "message");
    const lease = job("decodes", null);
    const ended = pool.run([lease]);
    await decoding;
    assert.equal(pool.cancel(lease.seq), true);
    channel.postMessage("go on");
    assert.deepEqual((await ended).map(shown), ["cancelled"]);
    assert.deepEqual(lines, []);
  });

  test("does not touch what other threads run, and says when there is no such job", async (t) => {
    const { pool, heard, run } = tryPool(t, { maxWorkers: 2 });
    const [one, other] = [job("waits", "signal"), job("waits", "finish")];
    const chunks = [pool.run([one]), pool.run([other])];
    await heard("waiting", 2);
    assert.equal(pool.cancel(one.seq), true);
    assert.deepEqual((await chunks[0])?.map(shown), ["cancelled"]);
    assert.equal(pool.cancel(one.seq), false);
    assert.equal(shown(await run("echo", 1)), "succeeded json 1");
    pool.cancel(other.seq);
    assert.deepEqual((await chunks[1])?.map(shown), [`succeeded json "done"`]);
  });

  test("the first reason stays: a cancelled job is cancelled, also when all are asked to stop", async (t) => {
    const clock = createFakeClock();
    const { pool, heard } = tryPool(t, { clock, graceMs: 100 });
    const lease = job("waits", "deaf");
    const waiting = pool.run([lease]);
    await heard("waiting");
    pool.cancel(lease.seq);
    pool.releaseAll();
    clock.advance(120);
    assert.deepEqual((await waiting).map(shown), ["cancelled"]);
  });

  test("a job is not asked to stop by what its place was told before", async (t) => {
    const { pool, heard } = tryPool(t);
    for (const expected of ["cancelled", "cancelled"]) {
      const lease = job("waits", "signal");
      const waiting = pool.run([lease]);
      await heard("waiting");
      pool.cancel(lease.seq);
      assert.deepEqual((await waiting).map(shown), [expected]);
      assert.deepEqual((await pool.run([job("echo", 1)])).map(shown), ["succeeded json 1"]);
    }
  });
});

describe("releaseAll", () => {
  for (const [how, expected] of [
    ["loop", "released"],
    ["signal", "released"],
    ["ownFailure", "released"],
    ["finish", `succeeded json "done"`],
  ] as const) {
    test(`a job that takes it by ${how} has ${expected}`, async (t) => {
      const { pool, run, heard } = tryPool(t);
      const waiting = run("waits", how);
      await heard("waiting");
      pool.releaseAll();
      assert.equal(shown(await waiting), expected);
    });
  }

  test("those behind it do not begin, and are handed back at once", async (t) => {
    const { pool, heard, lines, released } = tryPool(t, { clock: createFakeClock() });
    const [first, ...others] = [job("waits", "finish"), job("echo", 1), job("echo", 2)];
    const chunk = pool.run([first, ...others]);
    await heard("waiting");
    pool.releaseAll();
    assert.deepEqual(released, others);
    assert.deepEqual((await chunk).map(shown), [`succeeded json "done"`]);
    assert.equal(lines.filter(({ text }) => text === "begun").length, 0);
  });

  test("without anybody to hand them back to, they come with the others", async (t) => {
    const { pool, heard } = tryPool(t, { takesBack: false });
    const chunk = pool.run([job("waits", "finish"), job("echo", 1)]);
    await heard("waiting");
    pool.releaseAll();
    assert.deepEqual((await chunk).map(shown), [`succeeded json "done"`, "released"]);
  });

  test("a job that does not stop is released when its grace is over", async (t) => {
    const clock = createFakeClock();
    const { run, pool, heard } = tryPool(t, { clock, graceMs: 5000 });
    const waiting = run("waits", "spin");
    await heard("waiting");
    pool.releaseAll();
    clock.advance(5020);
    assert.equal(shown(await waiting), "released");
  });

  test("jobs that come afterwards are released without being run", async (t) => {
    const { pool, run, lines } = tryPool(t);
    pool.releaseAll();
    assert.equal(shown(await run("echo", 1)), "released");
    assert.equal(lines.length, 0);
    assert.equal(pool.free(), 1);
  });
});
