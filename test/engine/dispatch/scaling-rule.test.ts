import assert from "node:assert/strict";
import { suite, test } from "node:test";
import fc from "fast-check";
import { createNeed, decide, type PoolLoad } from "../../../src/engine/dispatch/scaling-rule.ts";

const rule = { jobsPerWorker: 5, waitMs: 1_000, idleMs: 30_000 };

/** Two busy workers of at most ten that run one job at a time, and nothing waits. */
const quiet: PoolLoad = {
  ...{ min: 2, max: 10, target: 2, concurrency: 1, isPaused: false, isBroken: false },
  ...{ ready: 0, oldestMs: 0, isFull: true, needed: 2, sinceGrowthMs: Number.POSITIVE_INFINITY },
};
const targetOf = (load: Partial<PoolLoad>) => decide(rule, { ...quiet, ...load })?.target;

suite("a pool grows", () => {
  test("when more than five jobs wait for each of its workers", () => {
    assert.equal(targetOf({ ready: 10 }), undefined);
    assert.equal(targetOf({ ready: 11 }), 3);
  });

  test("to one worker for five jobs, and at most to twice as many in one step", () => {
    assert.equal(targetOf({ ready: 14 }), 3);
    assert.equal(targetOf({ ready: 98 }), 4);
    assert.equal(targetOf({ ready: 90, target: 4 }), 8);
    assert.equal(targetOf({ ready: 80, target: 8 }), 10, "its maximum");
    assert.equal(targetOf({ ready: 1_000, target: 10 }), undefined);
  });

  test("by one when all workers are busy and the oldest of a few jobs waits for more than a second", () => {
    assert.equal(targetOf({ ready: 1, oldestMs: 1_000 }), undefined);
    assert.equal(targetOf({ ready: 1, oldestMs: 1_001 }), 3);
    assert.equal(targetOf({ ready: 1, oldestMs: 1_001, isFull: false }), undefined, "a worker is free for it");
  });

  test("to one worker at the first job when it has none", () => {
    const none = { min: 0, target: 0, needed: 0, isFull: true };
    assert.equal(targetOf(none), undefined);
    assert.equal(targetOf({ ...none, ready: 100 }), 1);
    assert.equal(targetOf({ ...none, needed: 1 }), 1, "the job runs already");
  });

  test("to no more workers than would run all that wait at once, each as many as it may", () => {
    assert.equal(targetOf({ target: 4, concurrency: 32, ready: 33 }), 6);
    assert.equal(targetOf({ target: 4, concurrency: 32, ready: 21 }), 5);
    assert.equal(targetOf({ target: 4, concurrency: 32, ready: 20 }), undefined, "not five for each");
    assert.equal(targetOf({ target: 1, min: 0, concurrency: 256, ready: 744 }), 2);
    assert.equal(targetOf({ target: 2, min: 0, concurrency: 256, ready: 488 }), 4);
  });

  test("not while its workers do not start", () => {
    assert.equal(targetOf({ ready: 98, isBroken: true, isFull: false }), undefined);
  });

  test("not while it is paused", () => {
    assert.equal(targetOf({ ready: 98, isPaused: true }), undefined);
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
    assert.equal(targetOf({ ...idle, needed: 0, ready: 1, isBroken: true }), undefined);
  });

  test("to its minimum at once when it is paused", () => {
    assert.equal(targetOf({ target: 8, needed: 8, sinceGrowthMs: 0, isPaused: true }), 2);
  });

  test("or grows into new bounds at once", () => {
    assert.equal(targetOf({ target: 8, max: 5, needed: 8, sinceGrowthMs: 0 }), 5);
    assert.equal(targetOf({ target: 2, min: 6 }), 6);
  });
});

test("a worker counts as needed for as long as is remembered, each by itself", () => {
  const need = createNeed(30_000);
  need.record(8, 0);
  need.record(2, 10_000);
  assert.equal(need.most(29_999), 8);
  assert.equal(need.most(30_000), 2);
  need.record(3, 35_000);
  assert.equal(need.most(40_000), 3);
  assert.equal(need.most(64_999), 3);
  assert.equal(need.most(65_000), 0);
});

suite("whatever the load", () => {
  const bounds = fc
    .tuple(fc.integer({ min: 0, max: 20 }), fc.integer({ min: 1, max: 20 }))
    .map(([one, other]) => ({ min: Math.min(one, other), max: Math.max(one, other) }));
  const load: fc.Arbitrary<PoolLoad> = bounds.chain(({ min, max }) =>
    fc.record({
      ...{ min: fc.constant(min), max: fc.constant(max), target: fc.integer({ min, max }) },
      ...{ concurrency: fc.constantFrom(1, 1, 32, 256), isPaused: fc.boolean(), isBroken: fc.boolean() },
      ...{ ready: fc.oneof(fc.constant(0), fc.nat(200), fc.nat(10_000)), oldestMs: fc.nat(5_000) },
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
        if (given.isPaused) assert.equal(target, given.min);
        else if (given.sinceGrowthMs < rule.idleMs) assert.ok(target >= given.target);
      }),
    );
  });

  test("a pool that can run a job has a worker for it", () => {
    fc.assert(
      fc.property(load, (given) => {
        if (given.isPaused || given.isBroken || given.ready === 0) return;
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
