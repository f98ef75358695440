import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { createRateLimit, type Rates } from "../../../src/engine/admit/rate-limit.ts";
import { createFakeClock } from "../../support/fake-clock.ts";

const rates: Rates = {
  perSecond: 10,
  burst: 5,
  clients: { vip: { perSecond: 1000, burst: 50 }, free: { perSecond: 0, burst: 1 } },
};

function open(given: Rates = rates) {
  const clock = createFakeClock();
  return { clock, limit: createRateLimit(given, clock) };
}

/** Requests as pairs of a pause before them and a number of jobs. */
const traffic = fc.record({
  perSecond: fc.double({ min: 0.1, max: 5000, noNaN: true }),
  burst: fc.integer({ min: 1, max: 200 }),
  requests: fc.array(fc.tuple(fc.double({ min: 0, max: 400, noNaN: true }), fc.integer({ min: 1, max: 50 })), {
    maxLength: 60,
  }),
});

describe("over every span of time", () => {
  test("at most burst + rate × time is admitted, from the very start on", () => {
    fc.assert(
      fc.property(traffic, ({ perSecond, burst, requests }) => {
        const { clock, limit } = open({ perSecond, burst, clients: {} });
        const admitted: { at: number; jobs: number }[] = [];
        for (const [pauseMs, jobs] of requests) {
          clock.advance(pauseMs);
          if (limit.take("ada", jobs) === 0) admitted.push({ at: clock.monotonicMs(), jobs });
        }
        for (const [first, { at: start }] of admitted.entries()) {
          let sum = 0;
          for (const { at, jobs } of admitted.slice(first)) {
            sum += jobs;
            const most = burst + ((at - start) / 1000) * perSecond;
            assert.ok(sum <= most + 1e-6, `${sum} jobs in ${at - start} ms, allowed are ${most}`);
          }
        }
        const all = admitted.reduce((sum, { jobs }) => sum + jobs, 0);
        const sinceStart = ((admitted.at(-1)?.at ?? 0) / 1000) * perSecond;
        assert.ok(all <= sinceStart + 1e-6, "a limiter starts empty");
      }),
    );
  });

  test("whoever comes when told gets the whole allowance", () => {
    fc.assert(
      fc.property(traffic, ({ perSecond, burst }) => {
        const { clock, limit } = open({ perSecond, burst, clients: {} });
        let admitted = 0;
        const wanted = 500;
        while (admitted < wanted) {
          const waitMs = limit.take("ada", 1);
          if (waitMs === 0) admitted += 1;
          else clock.advance(waitMs);
        }
        const possible = (clock.monotonicMs() / 1000) * perSecond;
        assert.ok(admitted >= possible * 0.99, `${admitted} of ${possible}`);
      }),
      { numRuns: 30 },
    );
  });

  test("the wait that is told is enough, and no less would do", () => {
    fc.assert(
      fc.property(traffic, ({ perSecond, burst, requests }) => {
        const { clock, limit } = open({ perSecond, burst, clients: {} });
        for (const [pauseMs, asked] of requests) {
          const jobs = Math.min(asked, burst);
          clock.advance(pauseMs);
          const waitMs = limit.take("ada", jobs);
          if (waitMs === 0) continue;
          clock.advance(waitMs * 0.99);
          assert.ok(waitMs < 0.001 || limit.take("ada", jobs) > 0);
          clock.advance(waitMs * 0.01);
          assert.equal(limit.take("ada", jobs), 0);
        }
      }),
    );
  });
});

describe("a client", () => {
  test("starts empty and may send its burst after burst / rate", () => {
    const { clock, limit } = open();
    assert.equal(limit.take("ada", 1), 100);
    clock.advance(500);
    assert.equal(limit.take("ada", 5), 0);
    assert.equal(limit.take("ada", 1), 100);
  });

  test("saves no more than its burst, however long it pauses", () => {
    const { clock, limit } = open();
    clock.advance(3_600_000);
    assert.equal(limit.take("ada", 5), 0);
    assert.ok(limit.take("ada", 1) > 0);
  });

  test("gets all of a request or nothing of it", () => {
    const { clock, limit } = open();
    clock.advance(300);
    assert.equal(limit.take("ada", 4), 100);
    assert.equal(limit.take("ada", 3), 0);
  });

  test("that asks for more than its burst never can, and loses nothing by asking", () => {
    const { clock, limit } = open();
    clock.advance(500);
    assert.equal(limit.take("ada", 6), Number.POSITIVE_INFINITY);
    assert.equal(limit.take("ada", 5), 0);
  });

  test("is not touched by what others do", () => {
    const { clock, limit } = open();
    clock.advance(500);
    assert.equal(limit.take("ada", 5), 0);
    assert.equal(limit.take("bob", 5), 0);
  });

  test("may have a rate of its own, or none", () => {
    const { limit, clock } = open();
    assert.deepEqual(limit.rateOf("vip"), { perSecond: 1000, burst: 50 });
    assert.equal(limit.take("free", 1_000_000), 0);
    clock.advance(50);
    assert.equal(limit.take("vip", 50), 0);
  });

  test("is not given what every object has for a rate", () => {
    const { limit } = open();
    assert.equal(limit.rateOf("constructor").perSecond, 10);
    assert.equal(limit.rateOf("__proto__").perSecond, 10);
  });

  test("gains nothing when the wall clock jumps", () => {
    const { clock, limit } = open();
    clock.jump(3_600_000);
    assert.equal(limit.take("ada", 1), 100);
  });
});

test("forgetting clients that are full again changes no answer", () => {
  const { clock, limit } = open({ perSecond: 10, burst: 5, clients: {} });
  clock.advance(500);
  limit.take("early", 5);
  for (let client = 0; client < 9_999; client += 1) limit.take(`client ${client}`, 1);
  clock.advance(400);
  limit.take("sweeps", 1); // most of the others are full again by now, "early" is not
  assert.equal(limit.take("early", 5), 100);
  assert.equal(limit.take("early", 4), 0);
  assert.equal(limit.take("client 1", 5), 0);
});
