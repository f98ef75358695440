import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test, type TestContext } from "node:test";
import type { Worker } from "node:worker_threads";
import { createThreadStartups } from "../../src/pool/thread-startup.ts";
import { createFakeClock, type FakeClock } from "../support/fake-clock.ts";
import { keptLog } from "../support/samples.ts";
import { until } from "../support/until.ts";
import { allTasks, job, loadsTask, shown, type Tried, tryPool } from "./try-pool.ts";

/** What tasks/boots.ts does in every thread that starts until the test ends. Threads copy the environment. */
function bootsBy(t: TestContext, how: string): void {
  process.env["MILLPOND_TEST_BOOT"] = how;
  t.after(() => delete process.env["MILLPOND_TEST_BOOT"]);
}

const onlyBoots = allTasks.filter(({ name }) => name === "boots");
const cannotStart = "a worker cannot start: another is tried after a pause";
const startsAgain = "a worker has started again";
const errorsOf = ({ lines }: Tried) => lines.filter(({ level }) => level === "error");
const longestPauseMs = 1_600;

/** Waits, and ends the pause after each thread that dies meanwhile. */
async function waitFor<T>({ times, heard }: Tried, clock: FakeClock, awaited: Promise<T>): Promise<T> {
  let isOver = false;
  const over = awaited.finally(() => {
    isOver = true;
  });
  for (let deaths = times(cannotStart); ; deaths = times(cannotStart)) {
    clock.advance(longestPauseMs);
    await Promise.race([over, heard(cannotStart, deaths + 1)]);
    if (isOver) return over;
  }
}

/** Runs one job again and again, as a dispatcher would, until it has another outcome than `released`, or has had three. */
async function persist(tried: Tried, clock: FakeClock): Promise<string> {
  let outcome = "";
  for (let tries = 1; tries <= 3; tries += 1) {
    const [ended] = await waitFor(tried, clock, tried.pool.run([job("boots", null)]));
    assert.ok(ended);
    outcome = shown(ended);
    if (outcome !== "released") break;
  }
  return outcome;
}

/** Lets threads start from now on, and waits for the first. */
async function mend(tried: Tried, clock: FakeClock): Promise<void> {
  delete process.env["MILLPOND_TEST_BOOT"];
  await waitFor(tried, clock, tried.heard(startsAgain, tried.times(startsAgain) + 1));
  assert.equal(tried.pool.canRun(), true);
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
      assert.equal(await persist(tried, clock), `succeeded json "booted"`);
      assert.equal(existsSync(mark), false);
      assert.equal(tried.pool.canRun(), true);
    });
  }

  for (const [how, why] of [
    ["always", /^task "boots" cannot be loaded: Error: process\.exit\(5\) was called\n +at .*tasks\/boots\.ts:/],
    ["rejects", /^task "boots" cannot be loaded: Error: nobody handles this\n +at .*tasks\/boots\.ts:/],
    ["throws", /^task "boots" cannot be loaded: Error: connect ECONNREFUSED 192.0.2.5:5432\n +at .*tasks\/boots\.ts:/],
  ] as const) {
    test(`always (${how}): no job loses an attempt, the log says why once, the pool is broken, and a good thread mends it`, async (t) => {
      bootsBy(t, how);
      const clock = createFakeClock();
      const tried = tryPool(t, { clock });
      assert.equal(await persist(tried, clock), "released");
      assert.deepEqual([tried.pool.canRun(), tried.pool.free()], [false, 0]);
      const told = errorsOf(tried).filter(({ text }) => text === cannotStart);
      assert.equal(told.length, 1);
      assert.match(String(told[0]?.fields["why"]), why);

      await mend(tried, clock);
      assert.equal(await persist(tried, clock), `succeeded json "booted"`);
    });
  }

  test("always, and no job comes: the pool finds out that it cannot run any, and that it can again", async (t) => {
    bootsBy(t, "always");
    const clock = createFakeClock();
    const tried = tryPool(t, { clock, minWorkers: 2, maxWorkers: 2 });
    assert.equal(tried.pool.canRun(), true);
    await tried.heard(cannotStart);
    assert.equal(tried.pool.canRun(), false);
    await mend(tried, clock);
    assert.equal(await persist(tried, clock), `succeeded json "booted"`);
  });

  test("always, in a pool that keeps no threads: its first job finds out, a probe that it can run some again, also at none", async (t) => {
    bootsBy(t, "always");
    const clock = createFakeClock();
    const tried = tryPool(t, { clock, minWorkers: 0, maxWorkers: 2, idleMs: 20, tasks: onlyBoots });
    const { pool } = tried;
    assert.deepEqual([pool.workers(), pool.canRun()], [0, true]);
    assert.equal(await persist(tried, clock), "released");
    assert.equal(pool.canRun(), false);
    await mend(tried, clock);
    await until(() => pool.workers() === 0);
    assert.deepEqual([pool.canRun(), pool.free()], [true, 2]);
    assert.equal(await persist(tried, clock), `succeeded json "booted"`);
  });

  test("beside one that works: that one gets the jobs, one more is tried after each pause, and none loses an attempt", async (t) => {
    const clock = createFakeClock();
    const tried = tryPool(t, { clock, minWorkers: 1, maxWorkers: 2 });
    const { pool } = tried;
    const working = job("waits", "finish");
    const waiting = pool.run([working]);
    await tried.heard("waiting");
    bootsBy(t, "always");
    assert.equal(await persist(tried, clock), "released");
    assert.equal(pool.canRun(), true);
    assert.equal(pool.free(), 1); // its pause is over: a job may try whether a second thread starts
    const trial = pool.run([job("boots", null)]);
    await tried.heard(cannotStart, tried.times(cannotStart) + 1);
    assert.equal(pool.free(), 0);
    pool.cancel(working.seq);
    assert.deepEqual((await waiting).map(shown), [`succeeded json "done"`]);
    assert.deepEqual((await trial).map(shown), [`succeeded json "booted"`]); // by the one that works
    assert.equal(pool.free(), 1);
  });

  test("beside one that works until that dies as well, and no job comes: the pool finds out when it can run some again", async (t) => {
    const clock = createFakeClock();
    const tried = tryPool(t, { clock, minWorkers: 1, maxWorkers: 2 });
    const last = job("waits", "exit");
    const waiting = tried.pool.run([last]);
    await tried.heard("waiting");
    bootsBy(t, "always");
    assert.equal(await persist(tried, clock), "released");
    tried.pool.cancel(last.seq);
    await waiting;
    assert.equal(tried.pool.canRun(), false);
    await mend(tried, clock);
  });

  test("or whose file is no longer that of its task", async (t) => {
    const tasks = onlyBoots.map((task) => ({ ...task, name: "moved" }));
    const tried = tryPool(t, { clock: createFakeClock(), tasks });
    await tried.heard(cannotStart);
    assert.match(String(errorsOf(tried)[0]?.fields["why"]), /"moved" cannot be loaded: .*restart the server/);
  });
});

describe("a thread that never gets ready", () => {
  for (const how of ["hangs", "spins"]) {
    test(`is given up after loadMs (${how}): the job is handed back, and the pool is broken until another is ready`, async (t) => {
      bootsBy(t, how);
      const clock = createFakeClock();
      const tried = tryPool(t, { clock, loadMs: 20_000, tasks: onlyBoots });
      const { pool } = tried;
      const lease = job("boots", null);
      const chunk = pool.run([lease]);
      await tried.heard(loadsTask);
      clock.advance(19_000);
      assert.equal(pool.canRun(), true);
      assert.ok((pool.startingMs(lease.seq) ?? 0) >= 19_000);
      delete process.env["MILLPOND_TEST_BOOT"];
      clock.advance(1_000);
      assert.equal(pool.canRun(), false);
      assert.deepEqual((await chunk).map(shown), ["released"]);
      const why = 'loading task "boots" takes longer than 20000 ms: raise taskLoadMs if it may';
      assert.deepEqual(
        errorsOf(tried).map(({ text, fields }) => [text, fields["why"]]),
        [[cannotStart, why]],
      );
      await mend(tried, clock);
      assert.deepEqual((await pool.run([lease])).map(shown), [`succeeded json "booted"`]);
    });
  }

  test("is given up also when no job waits for it", async (t) => {
    bootsBy(t, "hangs");
    const clock = createFakeClock();
    const tried = tryPool(t, { clock });
    clock.advance(30_000);
    assert.equal(tried.pool.canRun(), false);
    await mend(tried, clock);
  });

  test("at releaseAll the jobs that wait for it are handed back at once, and destroy is not held up for ever", async (t) => {
    bootsBy(t, "hangs");
    const clock = createFakeClock();
    const { pool, released } = tryPool(t, { clock });
    const leases = [job("boots", 1), job("boots", 2)];
    const chunk = pool.run(leases);
    pool.releaseAll();
    assert.deepEqual(released, leases);
    const ended = pool.destroy();
    clock.advance(5000);
    await ended;
    assert.deepEqual(await chunk, []);
    assert.equal(pool.workers(), 0);
  });
});

describe("a thread that is ready and fails at its first job, as where a task's file replaces a global", () => {
  test("counts as one that cannot start: pauses grow, the log says why once, and a job that ends mends the pool", async (t) => {
    bootsBy(t, "patches");
    const clock = createFakeClock();
    const tried = tryPool(t, { clock, concurrency: 4 });
    const { pool, heard, times } = tried;
    for (let deaths = 1; deaths <= 5; deaths += 1) {
      const [ended] = await pool.run([job("boots", null)]);
      assert.ok(ended);
      assert.equal(shown(ended), "released");
      await heard(cannotStart, deaths);
      assert.deepEqual([pool.canRun(), pool.free()], [false, 0]);
      await until(() => pool.threads().length > 0); // one more starts at once, and gets no job before the pause is over
      const pauseMs = 100 * 2 ** (deaths - 1);
      clock.advance(pauseMs - 1);
      assert.equal(pool.free(), 0);
      clock.advance(1);
    }
    assert.deepEqual(errorsOf(tried).length, 1);
    assert.match(String(errorsOf(tried)[0]?.fields["why"]), /^it fails by none of its jobs, .*: Error: patched\n +at /);
    assert.equal(times(startsAgain), 0);

    delete process.env["MILLPOND_TEST_BOOT"];
    assert.equal(await persist(tried, clock), `succeeded json "booted"`);
    assert.deepEqual([times(startsAgain), pool.canRun()], [1, true]);
  });
});

test("a thread that fails at its first job breaks no pool with another that has finished a chunk", async () => {
  const clock = createFakeClock();
  const ready = [1, 2, 3].map((threadId) => ({ threadId }) as Worker);
  const startups = createThreadStartups({
    ...{ name: "cpu", clock, log: keptLog().log, loadMs: 1000, threads: () => ready },
    ...{ onGivenUp() {}, onMissing() {} },
  });
  for (const { threadId } of ready) startups.ready(threadId);
  const fail = (threadId: number) => {
    startups.unfit(threadId, "it fails by none of its jobs");
    startups.gone(threadId);
  };
  fail(1);
  assert.equal(startups.isBroken(), true, "the others may fail at their first job, too");
  startups.worked(2);
  fail(1);
  fail(3);
  assert.deepEqual([startups.isBroken(), startups.working()], [false, 1]);
});
