import assert from "node:assert/strict";
import { once } from "node:events";
import { suite, test, type TestContext } from "node:test";
import type { Lease } from "../../src/job/job.ts";
import { createSignal } from "../../src/lifecycle.ts";
import type { PoolCode } from "../../src/pool/port.ts";
import { createReloadablePool } from "../../src/pool/reloadable.ts";
import type { Bounds } from "../../src/pool/size.ts";
import { allTasks, collecting, job, shown, tryPool, type Tried, type TryOptions } from "./try-pool.ts";
import { until } from "../support/until.ts";

const code = { tasks: allTasks, sources: null };

/** A pool of real threads; `generations` has what each set of tasks runs on, the oldest first. */
function open(t: TestContext, maxWorkers: number, options: TryOptions = {}) {
  const generations: Tried[] = [];
  const make = (_: PoolCode, bounds?: Bounds) => {
    const size = bounds && { minWorkers: bounds.min, maxWorkers: bounds.max };
    const tried = tryPool(t, { maxWorkers, ...options, ...size });
    generations.push(tried);
    return tried.bare;
  };
  const released: Lease[] = [];
  const onReleased = (leases: readonly Lease[]) => void released.push(...leases);
  return { pool: collecting(createReloadablePool(make, code), { onReleased }), generations, released };
}

suite("when the tasks of a pool are reloaded", () => {
  test("what runs ends as it would have, what did not begin is given back, and new jobs get new threads", async (t) => {
    const { pool, generations, released } = open(t, 2);
    const [slow, behind] = [job("waits", "finish"), job("echo", 2)];
    const chunk = pool.run([slow, behind]);
    const [former] = generations as [Tried];
    await former.heard("waiting");
    const [old] = pool.threads();
    pool.reload(code);
    assert.deepEqual(released, [behind]);
    const elsewhere = await pool.run([behind]);
    assert.deepEqual(elsewhere.map(shown), ["succeeded json 2"]);
    assert.ok(old && pool.threads().includes(old));
    const hasEnded = createSignal();
    old.once("exit", () => hasEnded.fire());
    assert.equal(pool.cancel(slow.seq), true);
    assert.deepEqual((await chunk).map(shown), [`succeeded json "done"`]);
    await hasEnded.promise;
    assert.equal(pool.cancel(slow.seq), false);
  });

  test("no more jobs run than there are workers, and progress is that of the present attempt", async (t) => {
    const { pool, generations } = open(t, 2);
    const slow = job("waits", "finish");
    const chunk = pool.run([slow]);
    await generations[0]!.heard("waiting");
    pool.reload(code);
    assert.equal(pool.free(), 1);
    const talks = job("talks", "beyond");
    const second = pool.run([talks]);
    assert.equal(pool.free(), 0);
    await generations[1]!.heard("said");
    assert.equal(pool.progressOf(talks.seq)?.fraction, 1);
    pool.reload(code);
    assert.equal(pool.free(), 0);
    for (const { seq } of [slow, talks]) assert.equal(pool.cancel(seq), true);
    await Promise.all([chunk, second]);
    assert.equal(pool.free(), 2);
    assert.deepEqual((await pool.run([job("echo", 3)])).map(shown), ["succeeded json 3"]);
  });

  test("threads that kept idle end after the idle time, also while one of them runs a long job", async (t) => {
    const { pool, generations } = open(t, 3, { idleMs: 20 });
    const slow = job("waits", "finish");
    const chunk = pool.run([slow]);
    const [former] = generations as [Tried];
    await former.heard("waiting");
    pool.reload(code);
    await until(() => former.bare.workers() === 1);
    pool.cancel(slow.seq);
    assert.deepEqual((await chunk).map(shown), [`succeeded json "done"`]);
  });

  test('what has not begun is given back by "withdraw" too, of each set of tasks, and what runs goes on', async (t) => {
    const { pool, generations, released } = open(t, 2);
    const [first, second] = [job("waits", "finish"), job("waits", "finish")];
    const chunks = [pool.run([first])];
    await generations[0]!.heard("waiting");
    pool.reload(code);
    const behind = job("echo", 1);
    chunks.push(pool.run([second, behind]));
    await generations[1]!.heard("waiting");
    pool.withdraw();
    assert.deepEqual(released, [behind]);
    for (const { seq } of [first, second]) pool.cancel(seq);
    assert.deepEqual((await Promise.all(chunks)).flat().map(shown), [`succeeded json "done"`, `succeeded json "done"`]);
  });

  test("a pool that was resized keeps its bounds, and starts no thread beyond them", async (t) => {
    const { pool, generations } = open(t, 3, { minWorkers: 3 });
    pool.resize({ min: 0, max: 2 });
    pool.setTarget(1);
    pool.reload(code);
    assert.equal(generations[1]!.bare.workers(), 0);
    assert.deepEqual([pool.bounds(), pool.target()], [{ min: 0, max: 2 }, 1]);
  });

  test("idle threads end at once, and those that run are ended with the pool", async (t) => {
    const { pool, generations } = open(t, 1);
    await pool.run([job("echo", 1)]);
    const [idle] = pool.threads();
    assert.ok(idle);
    const ended = once(idle, "exit");
    pool.reload(code);
    await ended;
    const chunk = pool.run([job("waits", "signal")]);
    await generations[1]!.heard("waiting");
    pool.reload(code);
    pool.releaseAll();
    assert.deepEqual((await chunk).map(shown), ["released"]);
    pool.reload(code); // it is stopping: there is nothing to reload
    await pool.destroy();
    assert.deepEqual([generations.length, pool.threads().length], [3, 0]);
  });
});
