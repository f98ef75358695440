import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { createPrefetch } from "../../../src/engine/dispatch/prefetch.ts";

/** Of workers whose leases take 3 ms: what they hold after jobs that took so long, the same again and again. */
function after(workers: number, durations: readonly number[], { max = 128, leaseMs = 3 } = {}) {
  const ahead = createPrefetch(() => workers, { first: max, max });
  ahead.recordLease(0, leaseMs, false);
  for (let jobs = 0; jobs < 2_000; jobs += 1) ahead.recordJob(durations[jobs % durations.length] as number);
  return ahead;
}

const times = (count: number, tookMs: number) => Array<number>(count).fill(tookMs);
/** One job in 25 takes 5 ms and one in 200 takes 85: 0.7 ms on average. */
const mixed = Array.from({ length: 200 }, (_, index) => (index === 100 ? 85 : index % 25 === 0 ? 5 : 0.1));

describe("jobs held ready", () => {
  test("are none before anything is known of the jobs", () => {
    const ahead = createPrefetch(() => 2, { first: 128, max: 128 });
    assert.equal(ahead.jobs(1), 0);
    ahead.recordLease(0, 3, false);
    assert.equal(ahead.jobs(1), 0);
  });

  test("are what the workers use up during two leases", () => {
    assert.equal(after(2, [1]).jobs(1), 12);
    assert.equal(after(2, [0.5]).jobs(1), 24);
    assert.equal(after(8, [1]).jobs(1), 48);
    assert.equal(after(8, [1], { leaseMs: 0.5 }).jobs(1), 8);
    assert.equal(after(64, [48]).jobs(1), 8);
  });

  test("are more where a few slow jobs among quick ones hide how quickly those go", () => {
    const held = after(2, mixed).jobs(1);
    assert.ok(held >= 30 && held <= 50, `${held}, where the mean alone says 17`);
  });

  test("are one chunk at least, also of jobs that outlast a lease", () => {
    assert.equal(after(2, [50]).jobs(1), 1);
    assert.equal(after(2, [1]).jobs(20), 20);
  });

  test("are none where jobs take 100 ms on average, and are there again when jobs are quicker", () => {
    const ahead = after(2, [100]);
    assert.equal(ahead.jobs(1), 0);
    for (let jobs = 0; jobs < 10; jobs += 1) ahead.recordJob(1);
    assert.equal(ahead.jobs(1), 1);
  });

  test("are no more than the bound", () => {
    assert.equal(after(2, [0.001]).jobs(128), 128);
    assert.equal(after(64, [0.1]).jobs(19), 128);
    assert.equal(after(2, [1], { max: 4 }).jobs(8), 4);
  });

  test("are no more than keeps each worker busy for 100 ms, however quick most of them are", () => {
    assert.ok(after(2, [...times(99, 0.05), 5_000]).jobs(1) <= 4);
    assert.equal(after(2, [10], { leaseMs: 1_000 }).jobs(1), 20);
  });

  test("follow leases and jobs as they change", () => {
    const ahead = after(2, [1]);
    for (let leases = 0; leases < 100; leases += 1) ahead.recordLease(0, 6, false);
    assert.ok(ahead.jobs(1) >= 23);
    for (let jobs = 0; jobs < 1_000; jobs += 1) ahead.recordJob(6);
    assert.ok(ahead.jobs(1) <= 4);
  });

  test("are a number also where a clock is too coarse to see a job or a lease, or went backwards", () => {
    assert.equal(after(2, [0]).jobs(1), 128);
    assert.equal(after(2, [-1], { leaseMs: 0 }).jobs(1), 2);
    assert.equal(after(2, [1], { leaseMs: 0 }).jobs(1), 1);
  });

  test("are few at first, twice as many each quarter of a second, and few again once a job comes that a dead process held", () => {
    const ahead = createPrefetch(() => 2, { first: 128, max: 1_000 });
    const leaseAt = (nowMs: number, hasCrashed = false) => ahead.recordLease(nowMs - 100, nowMs, hasCrashed);
    ahead.recordJob(0.001);
    const bounds = [100, 200, 350, 500, 600, 850, 1_100].map((nowMs) => {
      leaseAt(nowMs);
      return ahead.jobs(1);
    });
    assert.deepEqual(bounds, [128, 128, 256, 256, 512, 1_000, 1_000]);
    leaseAt(1_200, true);
    assert.equal(ahead.jobs(1), 128);
    leaseAt(1_300);
    assert.equal(ahead.jobs(1), 128);
    leaseAt(1_450);
    assert.equal(ahead.jobs(1), 256);
  });
});
