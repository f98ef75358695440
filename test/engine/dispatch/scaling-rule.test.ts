import assert from "node:assert/strict";
import { suite, test } from "node:test";
import fc from "fast-check";
import { createPeak, decide, type PoolLoad } from "../../../src/engine/dispatch/scaling-rule.ts";

const rule = { jobsPerWorker: 5, waitMs: 1_000, idleMs: 30_000 };

/** Two busy workers of at most ten that run one job at a time, and nothing waits. */
const quiet: PoolLoad = {
  ...{ min: 2, max: 10, target: 2, concurrency: 1, stopped: undefined, isBlocked: false },
  ...{ eligible: 0, oldestMs: 0, isFull: true, needed: 2, sinceGrowthMs: Number.POSITIVE_INFINITY },
};
const targetOf = (load: Partial<PoolLoad>) => decide(rule, { ...quiet, ...load })?.target;

suite("a pool grows", () => {
  test("when more than five jobs wait for each of its workers", () => {
    assert.equal(targetOf({ eligible: 10 }), undefined);
    assert.equal(targetOf({ eligible: 11 }), 3);
  });

  test("to one worker for five jobs, and at most to twice as many in one step", () => {
    assert.equal(targetOf({ eligible: 14 }), 3);
    assert.equal(targetOf({ eligible: 98 }), 4);
    assert.equal(targetOf({ eligible: 90, target: 4 }), 8);
    assert.equal(targetOf({ eligible: 80, target: 8 }), 10, "its maximum");
    assert.equal(targetOf({ eligible: 1_000, target: 10 }), undefined);
  });

  test("by one when all workers are busy and the oldest of a few jobs waits for more than a second", () => {
    assert.equal(targetOf({ eligible: 1, oldestMs: 1_000 }), undefined);
    assert.equal(targetOf({ eligible: 1, oldestMs: 1_001 }), 3);
    assert.equal(targetOf({ eligible: 1, oldestMs: 1_001, isFull: false }), undefined, "a worker is free for it");
  });

  test("to one worker at the first job when it has none", () => {
    const none = { min: 0, target: 0, needed: 0, isFull: true };
    assert.equal(targetOf(none), undefined);
    assert.equal(targetOf({ ...none, eligible: 100 }), 1);
    assert.equal(targetOf({ ...none, needed: 1 }), 1, "the job runs already");
  });

  test("to no more workers than would run all that wait at once, each as many as it may", () => {
    assert.equal(targetOf({ target: 4, concurrency: 32, eligible: 33 }), 6);
    assert.equal(targetOf({ target: 4, concurrency: 32, eligible: 21 }), 5);
    assert.equal(targetOf({ target: 4, concurrency: 32, eligible: 20 }), undefined, "not five for each");
    assert.equal(targetOf({ target: 1, min: 0, concurrency: 256, eligible: 744 }), 2);
    assert.equal(targetOf({ target: 2, min: 0, concurrency: 256, eligible: 488 }), 4);
  });

  test("not while its workers do not start", () => {
    assert.equal(targetOf({ eligible: 98, isBlocked: true, isFull: false }), undefined);
  });

  test("not while it is paused", () => {
    assert.equal(targetOf({ eligible: 98, stopped: "the pool is paused" }), undefined);
  });
});

suite("a pool shrinks", () => {
  const idle = { target: 8, needed: 2, isFull: false };

  test("to as many workers as were needed lately, once nothing grew for the idle time", () => {
    assert.equal(targetOf(idle), 2);
    assert.equal(targetOf({ ...idle, needed: 5 }), 5);
    assert.equal(targetOf({ ...idle, needed: 0 }), 2, "its minimum");
    assert.equal(targetOf({ ...idle, min: 0, needed: 0 }), 0);
    assert.equal(targetOf({ ...idle, sinceGrowthMs: 29_999 }), undefined);
  });

  test("not while a job waits, as where workers do not start", () => {
    assert.equal(targetOf({ ...idle, needed: 0, eligible: 1, isBlocked: true }), undefined);
  });

  test("to its minimum at once when it is paused", () => {
    const paused = { ...quiet, target: 8, needed: 8, sinceGrowthMs: 0, stopped: "the pool is paused" };
    assert.deepEqual(decide(rule, paused), { target: 2, why: "the pool is paused" });
  });

  test("or grows into new bounds at once", () => {
    assert.equal(targetOf({ target: 8, max: 5, needed: 8, sinceGrowthMs: 0 }), 5);
    assert.equal(targetOf({ target: 2, min: 6 }), 6);
  });
});

test("a worker counts as needed for as long as is remembered, each by itself", () => {
  const needed = createPeak(30_000);
  needed.record(8, 0);
  needed.record(2, 10_000);
  assert.equal(needed.value(29_999), 8);
  assert.equal(needed.value(30_000), 2);
  needed.record(3, 35_000);
  assert.equal(needed.value(40_000), 3);
  assert.equal(needed.value(64_999), 3);
  assert.equal(needed.value(65_000), 0);
  needed.record(2, 70_000);
  needed.clear();
  assert.equal(needed.value(70_000), 0);
});

test("a reason counts in plain words", () => {
  const one = { ...quiet, min: 0, target: 1, needed: 1 };
  const why = (load: Partial<PoolLoad>) => decide(rule, { ...one, ...load })?.why;
  assert.equal(why({ eligible: 6 }), "more than 5 jobs wait for the worker");
  assert.equal(why({ eligible: 1, oldestMs: 1_250 }), "the worker is busy, and a job has waited for 1.3 s");
  assert.equal(why({ needed: 0 }), "the worker was not needed for 30 s");
  assert.equal(why({ target: 0, eligible: 1 }), "a job came, and the target was 0");
  assert.equal(why({ target: 0 }), "a job came, and the target was 0");
  assert.equal(why({ target: 2, eligible: 11 }), "more than 5 jobs wait for each of 2 workers");
  assert.equal(why({ target: 2 }), "no more than 1 of 2 workers was needed for 30 s");
});

suite("whatever the load", () => {
  const bounds = fc
    .tuple(fc.integer({ min: 0, max: 20 }), fc.integer({ min: 1, max: 20 }))
    .map(([one, other]) => ({ min: Math.min(one, other), max: Math.max(one, other) }));
  const load: fc.Arbitrary<PoolLoad> = bounds.chain(({ min, max }) =>
    fc.record({
      ...{ min: fc.constant(min), max: fc.constant(max), target: fc.integer({ min, max }) },
      ...{
        concurrency: fc.constantFrom(1, 1, 32, 256),
        stopped: fc.constantFrom(undefined, "it is paused"),
        isBlocked: fc.boolean(),
      },
      ...{ eligible: fc.oneof(fc.constant(0), fc.nat(200), fc.nat(10_000)), oldestMs: fc.nat(5_000) },
      ...{ isFull: fc.boolean(), needed: fc.nat(max), sinceGrowthMs: fc.nat(60_000) },
    }),
  );

  test("the target is a whole number within the bounds, and at most doubles", () => {
    fc.assert(
      fc.property(load, (given) => {
        const target = decide(rule, given)?.target ?? given.target;
        assert.ok(Number.isInteger(target));
        assert.ok(given.min <= target && target <= given.max);
        assert.ok(target <= Math.max(2 * given.target, 1));
      }),
    );
  });

  test("a paused pool never grows, and no pool shrinks within the idle time after growth otherwise", () => {
    fc.assert(
      fc.property(load, (given) => {
        const target = decide(rule, given)?.target ?? given.target;
        if (given.stopped) assert.equal(target, given.min);
        else if (given.sinceGrowthMs < rule.idleMs) assert.ok(target >= given.target);
      }),
    );
  });

  test("a pool that can run a job has a worker for it", () => {
    fc.assert(
      fc.property(load, (given) => {
        if (given.stopped || given.isBlocked || given.eligible === 0) return;
        assert.ok((decide(rule, given)?.target ?? given.target) > 0);
      }),
    );
  });

  test("a decision is the last one until the load changes, or another growth follows it", () => {
    fc.assert(
      fc.property(load, (given) => {
        const first = decide(rule, given);
        if (!first) return;
        const grew = first.target > given.target;
        const next = decide(rule, { ...given, target: first.target, sinceGrowthMs: grew ? 0 : given.sinceGrowthMs });
        if (next) assert.equal(next.target > first.target, grew);
      }),
    );
  });
});
