import assert from "node:assert/strict";
import { suite, test } from "node:test";
import fc from "fast-check";
import { refusal } from "../../../src/errors.ts";
import { createAutoscaler } from "../../../src/engine/dispatch/autoscaler.ts";
import { roomy } from "../../support/samples.ts";
import { reversals, tryAutoscaler } from "./try-autoscaler.ts";
import { tryDispatcher } from "./try-dispatcher.ts";

suite("a burst", () => {
  test("takes a pool from two to ten workers within half a second, and back after the idle time", async (t) => {
    const { submit, pass, has, targets } = await tryAutoscaler(t);
    assert.equal(has.target, 2);
    submit(100);
    await pass(500);
    assert.deepEqual(targets, [2, 4, 8, 10]);
    await pass(30_000);
    assert.equal(has.target, 10, "the last job ended a second later");
    await pass(1_500);
    assert.deepEqual([has.target, reversals(targets)], [2, 1]);
  });

  test("of a few long jobs gets a worker for each of them, a second after they came", async (t) => {
    const { submit, pass, has } = await tryAutoscaler(t, { tookMs: 60_000 });
    submit(8);
    await pass(1_000);
    assert.equal(has.target, 2);
    await pass(1_000);
    assert.deepEqual([has.target, has.running], [8, 8]);
  });

  test("of a few long jobs starts one with each new worker, without waiting for a poll of the store", async (t) => {
    const tried = tryDispatcher(t, { workers: { min: 1, max: 4 }, onWork: () => autoscaler.wake() });
    const { dispatcher, pool, store, clock, put, rest, log } = tried;
    const autoscaler = createAutoscaler({
      ...{ ...roomy, pools: [{ pool, dispatcher }], store, clock, log },
      isBehind: () => false,
      onError: (error) => assert.fail(String(error)),
    });
    t.after(autoscaler.stop);
    await autoscaler.start();
    await dispatcher.start();
    await put(4);
    dispatcher.hint();
    for (let passedMs = 0; passedMs <= 1_500; passedMs += 10) {
      await rest();
      assert.equal(pool.held.length, pool.target(), `after ${passedMs} ms`);
      clock.advance(10);
    }
    assert.equal(pool.target(), 4);
  });

  test("of jobs that wait on the network gets as many threads as run them all, in three steps", async (t) => {
    const { submit, pass, has } = await tryAutoscaler(t, { min: 0, max: 4, concurrency: 256, tookMs: 1_000 });
    submit(1_000);
    await pass(400);
    assert.deepEqual([has.target, has.running], [4, 1_000]);
  });

  test("that fits into the workers there are changes nothing", async (t) => {
    const { submit, pass, targets } = await tryAutoscaler(t, { min: 1, max: 4, concurrency: 32 });
    submit(37);
    await pass(1_000);
    assert.deepEqual(targets, [1]);
  });

  test("counts with what the dispatcher holds ready", async (t) => {
    const { hold, pass, has } = await tryAutoscaler(t);
    hold(11);
    await pass(200);
    assert.equal(has.target, 3);
  });
});

suite("a pool without workers", () => {
  test("runs the first job at once, and is without again after the idle time", async (t) => {
    const { submit, pass, has, targets } = await tryAutoscaler(t, { min: 0 });
    assert.equal(has.target, 0);
    submit(1);
    assert.equal(has.running, 1);
    await pass(30_500);
    assert.deepEqual(targets, [0, 1, 0]);
  });

  test("keeps its worker while a short job comes every ten seconds", async (t) => {
    const { submit, pass, has } = await tryAutoscaler(t, { min: 0, tookMs: 10 });
    for (let round = 0; round < 10; round += 1) {
      submit(1);
      await pass(10_000);
      assert.equal(has.target, 1);
    }
  });
});

suite("a load that changes again and again", () => {
  /** Jobs come at a rate that rises for `periodMs` and then falls to nothing. */
  async function sawtooth(t: Parameters<typeof tryAutoscaler>[0], periods: number) {
    const { submit, pass, targets, has } = await tryAutoscaler(t);
    let owed = 0;
    for (let period = 0; period < periods; period += 1) {
      await pass(10_000, (passedMs) => {
        owed += (passedMs / 10_000) * 1.2; // up to 120 a second: twelve workers' work
        submit(Math.floor(owed));
        owed -= Math.floor(owed);
      });
    }
    return { targets, has };
  }

  test("turns the workers' number round no more than once in ten seconds", async (t) => {
    const { targets, has } = await sawtooth(t, 8);
    assert.equal(has.target, 10);
    assert.ok(reversals(targets) <= 8, targets.join());
  });

  test("leaves a pool alone that has enough workers", async (t) => {
    const { submit, pass, targets } = await tryAutoscaler(t);
    await pass(300_000, () => submit(1), 100);
    assert.deepEqual(targets, [2]);
  });

  test("never leads out of the bounds, doubles at most, and leaves no job waiting for ever", async (t) => {
    const seconds = fc.record({ jobs: fc.nat(120), isPaused: fc.boolean() });
    const given = fc.record({
      min: fc.nat(3),
      max: fc.integer({ min: 3, max: 12 }),
      concurrency: fc.constantFrom(1, 8),
    });
    await fc.assert(
      fc.asyncProperty(given, fc.array(seconds, { minLength: 1, maxLength: 8 }), async (pool, load) => {
        const { submit, pass, has, targets, queue, autoscaler, startJobs } = await tryAutoscaler(t, pool);
        for (const { jobs, isPaused } of load) {
          has.isPaused = isPaused;
          submit(jobs);
          const before = targets.length;
          await pass(1_000);
          if (isPaused) for (const target of targets.slice(before)) assert.equal(target, pool.min);
        }
        has.isPaused = false;
        startJobs();
        autoscaler.wake();
        await pass(120_000 / pool.concurrency, () => {}, 100);
        assert.equal(queue.length, 0);
        for (const [index, target] of targets.entries()) {
          assert.ok(pool.min <= target && target <= pool.max);
          assert.ok(index === 0 || target <= Math.max(2 * targets[index - 1]!, 1));
        }
        await autoscaler.stop();
      }),
      { numRuns: 20 },
    );
  });
});

suite("what the machine has no room for", () => {
  test("is not started, is said once, and is started when there is room again", async (t) => {
    let room = 2;
    const ceilings = () => ({ workers: room, by: "memory", why: "of 512 MiB the process has 500 MiB" }) as const;
    const { submit, pass, has, lines, autoscaler } = await tryAutoscaler(t, { tookMs: 10_000, ceilings });
    submit(100);
    await pass(100);
    assert.equal(has.target, 4);
    room = 0;
    await pass(5_000);
    assert.equal(has.target, 4);
    const refused = lines.filter(({ level }) => level === "warn");
    assert.deepEqual(
      refused.map(({ fields }) => fields),
      [{ pool: "io", workers: 4, why: "memory allows no more workers: of 512 MiB the process has 500 MiB" }],
    );
    const [latest] = autoscaler.decisions("io");
    assert.deepEqual([latest?.from, latest?.to], [4, 4]);
    assert.match(latest!.why, /^memory allows no more workers: of 512 MiB/);
    room = 100;
    await pass(200);
    assert.equal(has.target, 10);
  });

  test("is the reason why jobs wait for as long as it lasts, and is in the log again when it comes again", async (t) => {
    let room = 0;
    const ceilings = () => ({ workers: room, by: "memory", why: "of 512 MiB the process has 500 MiB" }) as const;
    const { submit, pass, lines, autoscaler } = await tryAutoscaler(t, { ceilings });
    const why = "memory allows no more workers: of 512 MiB the process has 500 MiB";
    const warnings = () => lines.filter(({ level }) => level === "warn").length;
    assert.equal(autoscaler.refusal("io"), undefined);
    submit(100);
    await pass(200);
    assert.deepEqual([autoscaler.refusal("io"), warnings()], [why, 1]);
    await pass(10_000);
    assert.equal(autoscaler.refusal("io"), undefined, "nothing waits");
    submit(100);
    await pass(200);
    assert.deepEqual([autoscaler.refusal("io"), warnings()], [why, 1], "the load comes and goes");
    await pass(60_000);
    submit(100);
    await pass(200);
    assert.deepEqual([autoscaler.refusal("io"), warnings()], [why, 2]);
    assert.equal(autoscaler.decisions("io")[0]?.why, why);
    room = 100;
    await pass(100);
    room = 0;
    await pass(100);
    assert.deepEqual([autoscaler.refusal("io"), warnings()], [why, 3], "between them it grew");
  });

  test("does not keep a pool from its minimum, nor from a first worker", async (t) => {
    const ceilings = () => ({ workers: 0, by: "cores", why: "" }) as const;
    const { submit, pass, resize, has, autoscaler } = await tryAutoscaler(t, { min: 0, ceilings, tookMs: 60_000 });
    submit(50);
    await pass(1_000);
    assert.equal(has.target, 1);
    resize({ min: 3, max: 10 });
    autoscaler.wake();
    await pass(200);
    assert.equal(has.target, 3);
  });
});

suite("a decision", () => {
  test("is in the log and among the last ten, newest first, with its reason", async (t) => {
    const { submit, pass, autoscaler, lines, resize } = await tryAutoscaler(t);
    submit(100);
    await pass(100);
    const why = "more than 5 jobs wait for each of 2 workers";
    assert.deepEqual(
      lines.map(({ fields }) => fields),
      [{ pool: "io", from: 2, to: 4, why }],
    );
    const at = autoscaler.decisions("io")[0]!.at;
    assert.deepEqual(autoscaler.decisions("io"), [{ at, from: 2, to: 4, why }]);
    for (let max = 20; max > 5; max -= 1) {
      resize({ min: max, max });
      autoscaler.wake();
      await pass(100);
    }
    const kept = autoscaler.decisions("io");
    assert.deepEqual(
      kept.map(({ to }) => to),
      [6, 7, 8, 9, 10, 11, 12, 13, 14, 15],
    );
    assert.equal(kept[0]!.why, "the bounds are 6 to 6");
    assert.deepEqual(autoscaler.decisions("none"), []);
  });

  test("is taken for new bounds too: what a higher minimum started is kept for the idle time after a reset", async (t) => {
    const { pass, autoscaler, resize, has } = await tryAutoscaler(t, { min: 0, max: 8 });
    const decided = () => autoscaler.decisions("io").map(({ from, to, why }) => `${from} ${to} ${why}`);
    await pass(60_000);
    resize({ min: 3, max: 8 });
    autoscaler.wake();
    await pass(200);
    assert.deepEqual(decided(), ["0 3 the bounds are 3 to 8"]);
    await pass(2_000);
    resize({ min: 0, max: 8 });
    autoscaler.wake();
    await pass(27_000);
    assert.equal(has.target, 3);
    await pass(1_500);
    assert.deepEqual(decided()[0], "3 0 none of 3 workers was needed for 30 s");
  });

  test("costs nothing while nothing waits, and no call of the store where no pool can grow", async (t) => {
    const { submit, pass, has, clock } = await tryAutoscaler(t, { tookMs: 60_000 });
    await pass(100);
    assert.equal(clock.timers(), 0);
    submit(100);
    await pass(10_000);
    assert.equal(has.target, 10);
    const { calls } = has;
    await pass(1_000);
    assert.equal(has.calls, calls);
  });

  test("is taken again when the store is back", async (t) => {
    let isAway = true;
    const away = refusal("store_unavailable", ["the connection was closed", 1_000], { retryAfterMs: 1_000 });
    const eligible = async () => {
      if (isAway) throw away;
      return [{ jobs: 50, oldestAt: 0 }];
    };
    const { submit, pass, has, errors } = await tryAutoscaler(t, { store: { eligible } });
    submit(50);
    await pass(200);
    assert.deepEqual([has.target, errors], [2, [away]]);
    isAway = false;
    await pass(1_500);
    assert.equal(has.target, 10);
  });

  test("is to keep the minimum once the server leases no more jobs, and the store is not asked", async (t) => {
    const { submit, pass, has, autoscaler } = await tryAutoscaler(t, { tookMs: 60_000 });
    submit(100);
    await pass(100);
    assert.equal(has.target, 4);
    has.isLeasing = false;
    await pass(200);
    const { calls } = has;
    assert.deepEqual([has.target, autoscaler.decisions("io")[0]?.why], [2, "the server starts no more jobs"]);
    autoscaler.wake();
    await pass(1_000);
    assert.deepEqual([has.target, has.calls], [2, calls]);
  });

  test("is not to grow while outcomes wait to be written, for no job would start", async (t) => {
    const { submit, pass, has, startJobs } = await tryAutoscaler(t, { tookMs: 1_000 });
    has.isBehind = true;
    submit(100);
    await pass(2_000);
    assert.equal(has.target, 2);
    has.isBehind = false;
    startJobs();
    await pass(500);
    assert.equal(has.target, 10);
  });

  test("is not to shrink while jobs wait, also at the maximum and when none could start for long", async (t) => {
    const { submit, pass, has, startJobs } = await tryAutoscaler(t);
    submit(1_000);
    await pass(500);
    assert.equal(has.target, 10);
    has.isBehind = true;
    await pass(40_000, () => {}, 100);
    assert.equal(has.target, 10);
    has.isBehind = false;
    startJobs();
    await pass(60_000, () => {}, 100);
    assert.equal(has.target, 2);
  });

  test("to grow after a pause does not follow from jobs that ran before it", async (t) => {
    const { submit, pass, has, autoscaler, targets } = await tryAutoscaler(t, { min: 0, tookMs: 100 });
    submit(10);
    await pass(1_000);
    has.isPaused = true;
    autoscaler.wake();
    await pass(100);
    assert.equal(has.target, 0);
    const before = targets.length;
    has.isPaused = false;
    autoscaler.wake();
    await pass(1_000);
    assert.deepEqual(targets.slice(before), []);
  });

  test("to shrink follows a pause at once, and growth follows its end", async (t) => {
    const { submit, pass, has, autoscaler, startJobs } = await tryAutoscaler(t, { tookMs: 1_000 });
    submit(100);
    await pass(500);
    assert.equal(has.target, 10);
    has.isPaused = true;
    autoscaler.wake();
    await pass(100);
    assert.equal(has.target, 2);
    await pass(60_000);
    assert.equal(has.target, 2);
    has.isPaused = false;
    startJobs();
    autoscaler.wake();
    await pass(500);
    assert.equal(has.target, 10);
  });
});
