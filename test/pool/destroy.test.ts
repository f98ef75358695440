import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { createFakeClock, type FakeClock, turn } from "../support/fake-clock.ts";
import { blocking } from "./blocking.ts";
import { job, shown, tryPool } from "./try-pool.ts";

/** Lets time pass until something has happened. */
async function pass<T>(clock: FakeClock, done: Promise<T>): Promise<T> {
  let isDone = false;
  void done.finally(() => {
    isDone = true;
  });
  for (let turns = 0; !isDone && turns < 100_000; turns += 1) {
    await turn();
    clock.advance(1);
  }
  return done;
}

describe("destroy", () => {
  test("releases what is running, however deaf it is", async (t) => {
    const { pool, run, heard } = tryPool(t, { maxWorkers: 2 });
    const waiting = [run("waits", "deaf"), run("waits", "spin")];
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

  test("may be followed by everything else", async (t) => {
    const { pool, run } = tryPool(t);
    await pool.destroy();
    pool.releaseAll();
    assert.equal(pool.cancel(1), false);
    assert.equal(shown(await run("echo", 1)), "released");
    assert.equal(pool.workers(), 0);
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

  test("leaves no timer behind", async (t) => {
    const clock = createFakeClock();
    const { pool, run, heard } = tryPool(t, { clock });
    const waiting = run("waits", "deaf");
    await heard("waiting");
    await pool.destroy();
    await waiting;
    assert.equal(clock.timers(), 0);
  });

  test("leaves a thread behind that Node cannot end, and says so", async (t) => {
    const { folder, blocked, letGo } = await blocking(t);
    const clock = createFakeClock();
    const { pool, run, lines } = tryPool(t, { clock });
    const running = run("blocks", folder);
    await blocked();
    const startMs = clock.monotonicMs();

    await pass(clock, pool.destroy());

    assert.equal(shown(await running), "released");
    assert.ok(clock.monotonicMs() - startMs <= 10_001, `${clock.monotonicMs() - startMs} ms`);
    assert.deepEqual(
      lines.filter(({ level }) => level === "warn").map(({ text }) => text),
      ["some workers did not end, and are left running"],
    );
    await letGo();
  });
});

test("a job inside a call that Node cannot end is ended all the same, and its place is free again", async (t) => {
  const { folder, blocked, letGo } = await blocking(t);
  const clock = createFakeClock();
  const { pool, run } = tryPool(t, { clock, graceMs: 100 });
  const lease = job("blocks", folder);
  const running = pool.run([lease]);
  await blocked();
  pool.cancel(lease.seq);
  clock.advance(120);
  assert.deepEqual((await running).map(shown), ["cancelled"]);
  assert.equal(shown(await run("echo", "next")), `succeeded json "next"`);
  await letGo();
});
