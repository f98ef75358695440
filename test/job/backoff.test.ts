import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { backoffMs, defaultRetryPolicy } from "../../src/job/backoff.ts";

const steady = { ...defaultRetryPolicy, jitter: "none" } as const;

/** A seeded generator (mulberry32), so that a failure can be repeated. */
function generator(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

test("without jitter the delays are 100, 200, 400 ... and stop at 5000 ms", () => {
  const delays = Array.from({ length: 9 }, (_, index) => backoffMs(steady, index + 1, () => 0.3));
  assert.deepEqual(delays, [100, 200, 400, 800, 1600, 3200, 5000, 5000, 5000]);
});

test("with full jitter the delays spread evenly from zero to the exponential value", (t) => {
  const seed = Date.now() & 0xffff;
  t.diagnostic(`seed ${seed}`);
  const random = generator(seed);
  for (const [attempt, most] of [
    [1, 100],
    [4, 800],
    [20, 5000],
  ] as const) {
    const delays = Array.from({ length: 2000 }, () => backoffMs(defaultRetryPolicy, attempt, random));
    assert.ok(delays.every((delay) => Number.isInteger(delay) && delay >= 0 && delay <= most));
    const quarters = [0, 0, 0, 0];
    for (const delay of delays) quarters[Math.min(Math.floor((delay / most) * 4), 3)]! += 1;
    for (const count of quarters)
      assert.ok(count > 350 && count < 650, `seed ${seed}: quarters of ${quarters.join(", ")}`);
  }
});

test("two jobs that fail together do not come back together", () => {
  const random = generator(7);
  assert.notEqual(backoffMs(defaultRetryPolicy, 6, random), backoffMs(defaultRetryPolicy, 6, random));
});

test("whatever the policy, a delay is a whole number from 0 to the cap", () => {
  const policies = fc.record({
    maxAttempts: fc.constant(100),
    baseMs: fc.double({ min: 0, max: 1e12, noNaN: true }),
    factor: fc.double({ min: 1, max: 1e12, noNaN: true }),
    maxBackoffMs: fc.nat(10 ** 9),
    jitter: fc.constantFrom("full" as const, "none" as const),
  });
  fc.assert(
    fc.property(
      policies,
      fc.integer({ min: 1, max: 100 }),
      fc.double({ min: 0, max: 0.999, noNaN: true }),
      (policy, attempt, draw) => {
        const delay = backoffMs(policy, attempt, () => draw);
        assert.ok(Number.isInteger(delay) && delay >= 0 && delay <= policy.maxBackoffMs, `${delay}`);
      },
    ),
  );
});

test("a base of zero stays zero, even when the factor grows past all numbers", () => {
  assert.equal(backoffMs({ ...steady, baseMs: 0, factor: 1e9 }, 100, Math.random), 0);
});
