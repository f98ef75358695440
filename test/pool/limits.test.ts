import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { createFakeClock } from "../support/fake-clock.ts";
import { until } from "../support/until.ts";
import { job, shown, tryPool } from "./try-pool.ts";

const hourMs = 3_600_000;
/** So late may something be noticed. */
const sweepMs = 20;

describe("a timeout", () => {
  test("of the task: an attempt that takes longer is asked to stop, and not a moment before", async (t) => {
    const clock = createFakeClock();
    const { run, heard, pool } = tryPool(t, { clock });
    const waiting = run("waits", "reason");
    await heard("waiting");
    clock.advance(hourMs - sweepMs);
    assert.equal(pool.free(), 0);
    clock.advance(2 * sweepMs);
    assert.equal(shown(await waiting), `succeeded json "asked to stop: the attempt took longer than its timeout"`);
  });

  for (const how of ["loop", "signal", "ownFailure", "exit"]) {
    test(`of the job comes before that of its task; taken by ${how} it is timed_out`, async (t) => {
      const clock = createFakeClock();
      const { pool, heard } = tryPool(t, { clock });
      const waiting = pool.run([job("waits", how, { timeoutMs: 500 })]);
      await heard("waiting");
      clock.advance(500 + sweepMs);
      assert.deepEqual((await waiting).map(shown), ["timed_out 500"]);
    });
  }

  test("counts from the start of its own job in the chunk", async (t) => {
    const clock = createFakeClock();
    const { pool, heard, lines } = tryPool(t, { clock, takesBack: false });
    const first = job("waits", "finish");
    const chunk = pool.run([first, job("waits", "reason", { timeoutMs: 1000 })]);
    await heard("waiting");
    clock.advance(900);
    pool.cancel(first.seq);
    await heard("waiting", 2);
    clock.advance(980);
    await heard("waiting", 2);
    assert.equal(lines.length, 2);
    assert.equal(pool.free(), 0);
    clock.advance(sweepMs + sweepMs);
    const [, second] = await chunk;
    assert.match(second ? shown(second) : "", /longer than its timeout/);
  });

  test("is not moved by a wall clock that jumps", async (t) => {
    const clock = createFakeClock(Date.now());
    const { run, heard, pool } = tryPool(t, { clock });
    const waiting = run("waits", "finish");
    await heard("waiting");
    clock.jump(100 * hourMs); // before the pool first looks at the job
    clock.advance(hourMs - sweepMs);
    clock.jump(-200 * hourMs);
    assert.equal(pool.free(), 0);
    clock.advance(2 * sweepMs);
    assert.equal(shown(await waiting), `succeeded json "done"`);
  });
});

describe("a deadline", () => {
  for (const how of ["loop", "signal"]) {
    test(`that passes while the job runs: expired, taken by ${how}`, async (t) => {
      const clock = createFakeClock(Date.now());
      const { pool, heard } = tryPool(t, { clock });
      const waiting = pool.run([job("waits", how, { expiresAt: clock.now() + hourMs / 2 })]);
      await heard("waiting");
      clock.advance(hourMs / 2 - sweepMs);
      assert.equal(pool.free(), 0);
      clock.advance(2 * sweepMs);
      assert.deepEqual((await waiting).map(shown), ["expired started"]);
    });
  }

  test("that passed while the job waited in its chunk: it does not begin", async (t) => {
    const { pool, lines, heard } = tryPool(t);
    const now = Date.now();
    const ended = await pool.run([
      job("echo", 1),
      job("echo", 2, { expiresAt: now - 1 }),
      job("echo", 3, { expiresAt: now + hourMs }),
    ]);
    assert.deepEqual(ended.map(shown), ["succeeded json 1", "expired unstarted", "succeeded json 3"]);
    await heard("begun", 2);
    assert.equal(lines.filter(({ text }) => text === "begun").length, 2);
  });

  test("comes before a timeout that passed with it", async (t) => {
    const clock = createFakeClock(Date.now());
    const { pool, heard } = tryPool(t, { clock });
    const waiting = pool.run([job("waits", "signal", { expiresAt: clock.now() + hourMs / 2, timeoutMs: hourMs / 2 })]);
    await heard("waiting");
    clock.advance(hourMs / 2 + sweepMs);
    assert.deepEqual((await waiting).map(shown), ["expired started"]);
  });
});

describe("ctx.deadlineAt", () => {
  for (const [what, timeoutMs, expiresInMs, expectedMs] of [
    ["the task's timeout", null, null, 5000],
    ["the job's own timeout", 700, hourMs, 700],
    ["the job's deadline when that comes first", 2 * hourMs, hourMs, null],
  ] as const) {
    test(`is ${what}`, async (t) => {
      const { pool } = tryPool(t);
      const expiresAt = expiresInMs && Date.now() + expiresInMs;
      const [ended] = await pool.run([job("tells", null, { timeoutMs, expiresAt })]);
      assert.equal(ended?.outcome.kind, "succeeded");
      const { deadlineAt } = JSON.parse(Buffer.from(ended.outcome.output?.bytes ?? []).toString());
      assert.equal(deadlineAt, expectedMs === null ? expiresAt : Math.floor(ended.startedAt) + expectedMs);
    });
  }
});

describe("the grace", () => {
  for (const work of ["cpu", "io"] as const) {
    test(`an endless loop is ended with its thread within 200 ms after it (${work})`, async (t) => {
      const { pool, heard, run, lines } = tryPool(t, { graceMs: 100, work });
      let tookMs = Number.POSITIVE_INFINITY;
      let lease = job("waits", "spin");
      // what else the machine does can only make it slower: one try in time shows that the pool is
      for (let tried = 0; tried < 5 && tookMs >= 300; tried += 1) {
        lines.length = 0;
        lease = job("waits", "spin");
        await until(() => pool.free() > 0); // threads that end keep their places for as long as that takes
        const waiting = pool.run([lease]);
        await heard("waiting", tried + 1);
        const startMs = performance.now();
        pool.cancel(lease.seq);
        assert.deepEqual((await waiting).map(shown), ["cancelled"]);
        tookMs = performance.now() - startMs;
        assert.ok(tookMs >= 100, `${tookMs} ms`);
      }
      assert.ok(tookMs < 300, `${tookMs} ms`);
      await until(() => pool.free() > 0);
      assert.equal(shown(await run("echo", 1)), "succeeded json 1");
      assert.equal(pool.workers(), 1);
      assert.deepEqual(
        lines.filter(({ level }) => level === "warn").map(({ fields }) => fields["job"]),
        [lease.id],
      );
    });
  }

  test("is not over before its time", async (t) => {
    const clock = createFakeClock();
    const { pool, heard } = tryPool(t, { clock, graceMs: 5000 });
    const lease = job("waits", "deaf");
    const waiting = pool.run([lease]);
    await heard("waiting");
    pool.cancel(lease.seq);
    clock.advance(5000 - 1);
    assert.equal(pool.free(), 0);
    clock.advance(sweepMs);
    assert.deepEqual((await waiting).map(shown), ["cancelled"]);
  });

  for (const [what, timeoutMs, expiresInMs, expected] of [
    ["timeout", 300, null, "timed_out 300"],
    ["deadline", 2 * hourMs, 60_000, "expired started"],
  ] as const) {
    test(`comes after a ${what} too`, async (t) => {
      const clock = createFakeClock(Date.now());
      const { pool, heard } = tryPool(t, { clock, graceMs: 1000 });
      const expiresAt = expiresInMs && clock.now() + expiresInMs;
      const waiting = pool.run([job("waits", "spin", { timeoutMs, expiresAt })]);
      await heard("waiting");
      clock.advance((expiresInMs ?? timeoutMs) + 2 * sweepMs);
      assert.equal(pool.free(), 0);
      clock.advance(1000);
      const [ended] = await waiting;
      assert.equal(ended && shown(ended), expected);
      assert.ok(ended && Math.abs(ended.startedAt - Date.now()) < 60_000, "the start that the thread told");
    });
  }

  test("ends only the job in question: neighbours that wait are released, and none of them began", async (t) => {
    const clock = createFakeClock();
    const { pool, heard, lines, released } = tryPool(t, { clock, graceMs: 100 });
    const [bad, ...others] = [job("waits", "spin"), job("echo", 1), job("echo", 2)];
    const chunk = pool.run([bad, ...others]);
    await heard("waiting");
    pool.cancel(bad.seq);
    clock.advance(120);
    assert.deepEqual((await chunk).map(shown), ["cancelled"]);
    assert.deepEqual(released, others);
    assert.equal(lines.filter(({ text }) => text === "begun").length, 0);
  });

  test("and those that had ended are released too, unless they were slow enough to be told of before", async (t) => {
    const clock = createFakeClock();
    const { pool, heard } = tryPool(t, { clock, graceMs: 100, takesBack: false });
    const bad = job("waits", "spin");
    const chunk = pool.run([job("echo", 1), bad, job("echo", 2)]);
    await heard("waiting");
    pool.cancel(bad.seq);
    clock.advance(140);
    const [ended, ...others] = (await chunk).map(shown);
    // on a busy machine more than 5 ms pass before the next job begins, and then the outcome does not go with the thread
    assert.match(ended ?? "", /^(released|succeeded json 1)$/);
    assert.deepEqual(others, ["cancelled", "released"]);
  });
});

test("a pool has one timer while its threads start, none while it runs nothing, and one while it runs much", async (t) => {
  const clock = createFakeClock();
  const { pool, run, heard } = tryPool(t, { clock, maxWorkers: 3 });
  assert.equal(clock.timers(), 1);
  const leases = [job("waits", "signal"), job("waits", "signal"), job("waits", "signal")];
  const waiting = leases.map((lease) => pool.run([lease]));
  await heard("waiting", 3);
  clock.advance(10 * sweepMs);
  assert.equal(clock.timers(), 1);
  for (const { seq } of leases) pool.cancel(seq);
  await Promise.all(waiting);
  clock.advance(sweepMs);
  assert.equal(clock.timers(), 0);
  await run("echo", 1);
  assert.equal(clock.timers(), 1);
});
