import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test, type TestContext } from "node:test";
import { createFakeClock, type FakeClock, turn } from "../support/fake-clock.ts";
import { job, shown, type Tried, tryPool } from "./try-pool.ts";

/** What tasks/boots.ts does in every thread that starts until the test ends. Threads copy the environment. */
function bootsBy(t: TestContext, how: string): void {
  process.env["MILLPOND_TEST_BOOT"] = how;
  t.after(() => delete process.env["MILLPOND_TEST_BOOT"]);
}

async function until(isReached: () => boolean, clock: FakeClock): Promise<void> {
  for (let turns = 0; !isReached() && turns < 1_000_000; turns += 1) {
    await turn();
    clock.advance(0.01); // slow enough for threads to start, which takes real time
  }
  assert.ok(isReached());
}

/** Runs one job again and again, as a dispatcher would, until it has another outcome than `released`. */
async function persist({ pool }: Tried, clock: FakeClock): Promise<{ outcome: string; tries: number }> {
  for (let tries = 1; tries <= 10; tries += 1) {
    let isDone = false;
    const chunk = pool.run([job("boots", null)]).finally(() => {
      isDone = true;
    });
    await until(() => isDone, clock);
    const [ended] = await chunk;
    assert.ok(ended);
    if (ended.outcome.kind !== "released") return { outcome: shown(ended), tries };
  }
  return { outcome: "released for ever", tries: 10 };
}

describe("a thread that dies before it is ready", () => {
  for (const work of ["cpu", "io"] as const) {
    test(`once: the job is given back, runs with the next thread, and nothing is broken (${work})`, async (t) => {
      const folder = await mkdtemp(join(tmpdir(), "millpond-boot-"));
      t.after(() => rm(folder, { recursive: true }));
      const mark = join(folder, "mark");
      await writeFile(mark, "");
      bootsBy(t, `once:${mark}`);
      const clock = createFakeClock();
      const tried = tryPool(t, { clock, work });
      const { outcome } = await persist(tried, clock);
      assert.equal(outcome, `succeeded json "booted"`);
      assert.equal(existsSync(mark), false);
      assert.equal(tried.pool.isBroken(), false);
    });
  }

  test("always: after five deaths jobs are lost, the pool says that it is broken, and a good thread mends it", async (t) => {
    bootsBy(t, "always");
    const clock = createFakeClock();
    const tried = tryPool(t, { clock });
    const { outcome } = await persist(tried, clock);
    assert.equal(outcome, "lost");
    assert.equal(tried.pool.isBroken(), true);
    assert.equal(tried.pool.free(), 1);
    const texts = tried.lines.filter(({ level }) => level === "error").map(({ text }) => text);
    assert.deepEqual(texts, ["workers die before they are ready: the pool is broken"]);

    delete process.env["MILLPOND_TEST_BOOT"];
    await until(tried.pool.canRun, clock); // a thread that was starting may still die
    assert.equal(tried.pool.isBroken(), false);
    assert.equal((await persist(tried, clock)).outcome, `succeeded json "booted"`);
  });

  test("always, and no job comes: the pool finds out that it cannot run any, and that it can again", async (t) => {
    bootsBy(t, "always");
    const clock = createFakeClock();
    const { pool } = tryPool(t, { clock, minWorkers: 2, maxWorkers: 2 });
    assert.equal(pool.canRun(), true);
    await until(() => !pool.canRun(), clock);
    assert.equal(pool.isBroken(), true);
    delete process.env["MILLPOND_TEST_BOOT"];
    await until(pool.canRun, clock);
    assert.deepEqual((await pool.run([job("boots", null)])).map(shown), [`succeeded json "booted"`]);
  });

  test("beside one that works: the jobs of the latter are not touched", async (t) => {
    const clock = createFakeClock();
    const tried = tryPool(t, { clock, minWorkers: 1, maxWorkers: 2 });
    const working = job("waits", "finish");
    const waiting = tried.pool.run([working]);
    await tried.heard("waiting");
    bootsBy(t, "always");
    assert.equal((await persist(tried, clock)).outcome, "lost");
    assert.deepEqual([tried.pool.isBroken(), tried.pool.canRun()], [true, true]);
    tried.pool.cancel(working.seq);
    assert.deepEqual((await waiting).map(shown), [`succeeded json "done"`]);
  });

  test("beside one that works until that dies as well, and no job comes: the pool finds out when it can run some again", async (t) => {
    const clock = createFakeClock();
    const tried = tryPool(t, { clock, minWorkers: 1, maxWorkers: 2 });
    const last = job("waits", "exit");
    const waiting = tried.pool.run([last]);
    await tried.heard("waiting");
    bootsBy(t, "always");
    assert.equal((await persist(tried, clock)).outcome, "lost");
    tried.pool.cancel(last.seq);
    await waiting;
    assert.equal(tried.pool.canRun(), false);
    delete process.env["MILLPOND_TEST_BOOT"];
    await until(tried.pool.canRun, clock);
  });

  test("a thread that never gets ready is given up after 30 s, and the job given back", async (t) => {
    bootsBy(t, "hangs");
    const clock = createFakeClock();
    const { pool, lines } = tryPool(t, { clock });
    const chunk = pool.run([job("boots", null)]);
    clock.advance(30_000 - 20);
    await turn();
    assert.equal(pool.free(), 0);
    delete process.env["MILLPOND_TEST_BOOT"];
    clock.advance(20);
    assert.deepEqual((await chunk).map(shown), ["released"]);
    assert.equal(lines.at(0)?.text, "a worker takes too long to start and is given up");
    assert.deepEqual((await pool.run([job("echo", 1)])).map(shown), ["succeeded json 1"]);
  });

  test("at releaseAll the jobs that wait for it are handed back at once, and destroy is not held up for ever", async (t) => {
    bootsBy(t, "hangs");
    const clock = createFakeClock();
    const { pool, released } = tryPool(t, { clock });
    const leases = [job("boots", 1), job("boots", 2)];
    const chunk = pool.run(leases);
    pool.releaseAll();
    assert.deepEqual(
      released.map(({ lease }) => lease),
      leases,
    );
    const ended = pool.destroy();
    clock.advance(5000);
    await ended;
    assert.deepEqual(await chunk, []);
    assert.equal(pool.workers(), 0);
  });
});
