import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { createStats } from "../../src/engine/stats.ts";
import type { Outcome } from "../../src/job/job.ts";
import { createFakeClock } from "../support/fake-clock.ts";
import { endedOf, failedOnce, newLease, succeeded } from "../support/samples.ts";
import { t0 } from "../store/sample.ts";

function open() {
  const clock = createFakeClock();
  const stats = createStats(clock);
  const end = (count: number, outcome: Outcome = succeeded, tookMs = 3, lease = {}) =>
    stats.ended(Array.from({ length: count }, () => endedOf(newLease(lease), outcome, { tookMs })));
  return { clock, stats, end };
}

describe("tasks", () => {
  test("each counts how its attempts ended, given back ones not at all", () => {
    const { stats, end } = open();
    end(3);
    end(2, failedOnce);
    end(1, { kind: "timed_out", timeoutMs: 5 });
    end(4, { kind: "released" });
    end(1, succeeded, 3, { task: "sleep", pool: "io" });
    const shown = stats.tasks().map(({ task, pool, succeeded: good, failed }) => ({ task, pool, good, failed }));
    assert.deepEqual(shown, [
      { task: "echo", pool: "cpu", good: 3, failed: 3 },
      { task: "sleep", pool: "io", good: 1, failed: 0 },
    ]);
  });

  test("a task whose attempts were all given back, or came too late to be started, is not listed", () => {
    const { stats, end } = open();
    end(4, { kind: "released" });
    end(4, { kind: "expired", hasStarted: false });
    assert.deepEqual(stats.tasks(), []);
  });

  test("an attempt that its deadline ended has failed; one that was cancelled ended, and has not", () => {
    const { stats, end, clock } = open();
    end(1, { kind: "expired", hasStarted: true });
    end(4, { kind: "cancelled" });
    clock.advance(1000);
    const [task] = stats.tasks();
    assert.equal(task?.failed, 1);
    assert.equal(task.succeeded, 0);
    assert.equal(task.attemptsPerSecond, 0.5);
  });

  test("attempts of processes that died count as failed and have no times", () => {
    const { stats, end } = open();
    end(2, { kind: "lost", died: "server" });
    const [task] = stats.tasks();
    assert.equal(task?.failed, 2);
    assert.equal(task.execution, null);
    assert.equal(task.queueWait, null);
  });
});

describe("rates", () => {
  test("are over the last ten whole seconds", () => {
    const { stats, end, clock } = open();
    for (let second = 0; second < 20; second += 1) {
      end(5);
      clock.advance(1000);
    }
    assert.equal(stats.tasks()[0]?.attemptsPerSecond, 5);
    clock.advance(5000);
    assert.equal(stats.tasks()[0]?.attemptsPerSecond, 2.5);
    clock.advance(5000);
    assert.equal(stats.tasks()[0]?.attemptsPerSecond, 0);
  });

  test("leave out the second that is not over yet", () => {
    const { stats, end, clock } = open();
    end(100);
    assert.equal(stats.attemptsPerSecond("cpu"), 0);
    clock.advance(1000);
    assert.equal(stats.attemptsPerSecond("cpu"), 10);
  });

  test("of a pool are those of its tasks together", () => {
    const { stats, end, clock } = open();
    end(20);
    end(10, failedOnce, 3, { task: "other" });
    end(70, succeeded, 3, { task: "third", pool: "io" });
    clock.advance(1000);
    assert.equal(stats.attemptsPerSecond("cpu"), 3);
    assert.equal(stats.attemptsPerSecond("io"), 7);
    assert.equal(stats.attemptsPerSecond("none"), 0);
  });

  test("are right whenever one looks, however long nobody did", () => {
    const steps = fc.array(fc.tuple(fc.integer({ min: 0, max: 15_000 }), fc.integer({ min: 0, max: 9 })), {
      maxLength: 40,
    });
    fc.assert(
      fc.property(steps, (given) => {
        const { stats, end, clock } = open();
        const ends: number[] = [];
        end(1);
        ends.push(0);
        for (const [pauseMs, count] of given) {
          clock.advance(pauseMs);
          end(count);
          for (let done = 0; done < count; done += 1) ends.push(clock.monotonicMs());
        }
        const present = Math.floor(clock.monotonicMs() / 1000);
        const inTen = ends
          .map((at) => Math.floor(at / 1000))
          .filter((second) => second < present && second >= present - 10);
        assert.equal(stats.attemptsPerSecond("cpu"), inTen.length / 10);
      }),
    );
  });
});

describe("percentiles", () => {
  const near = (actual: number | undefined, expected: number) =>
    assert.ok(
      actual !== undefined && Math.abs(actual - expected) <= expected * 0.02,
      `${actual} is not about ${expected}`,
    );

  test("of execution and of waiting, in milliseconds", () => {
    const { stats } = open();
    for (let ms = 1; ms <= 100; ms += 1) {
      stats.ended([endedOf(newLease({ runAt: t0 - ms }), succeeded, { startedAt: t0, tookMs: ms / 10 })]);
    }
    const [task] = stats.tasks();
    near(task?.execution?.p50, 5);
    near(task?.execution?.p90, 9);
    near(task?.execution?.p99, 9.9);
    near(task?.queueWait?.p50, 50);
  });

  test("take in all of the last minute and nothing older than two", () => {
    const steps = fc.array(fc.integer({ min: 1, max: 100_000 }), { maxLength: 12 });
    const property = fc.property(steps, steps, (before, after) => {
      const { stats, end, clock } = open();
      for (const pauseMs of before) {
        end(1, succeeded, 1);
        clock.advance(pauseMs);
      }
      end(1, succeeded, 1000);
      const slowAt = clock.monotonicMs();
      for (const pauseMs of after) {
        clock.advance(pauseMs);
        const age = clock.monotonicMs() - slowAt;
        const isShown = (stats.tasks()[0]?.execution?.p99 ?? 0) > 500;
        if (age <= 60_000) assert.ok(isShown, `after ${age} ms it is gone`);
        if (age > 120_000) assert.ok(!isShown, `after ${age} ms it is still there`);
        end(1, succeeded, 1);
      }
    });
    fc.assert(property, { numRuns: 200 });
  });

  test("of a quiet time are null", () => {
    const { stats, end, clock } = open();
    end(1);
    clock.advance(180_000);
    assert.equal(stats.tasks()[0]?.execution, null);
  });

  test("bear a wait that clocks made negative", () => {
    const { stats } = open();
    stats.ended([endedOf(newLease({ runAt: t0 + 1000 }), succeeded, { startedAt: t0, tookMs: -5 })]);
    assert.deepEqual(stats.tasks()[0]?.queueWait, { p50: 0.001, p90: 0.001, p99: 0.001 });
  });
});

describe("clients", () => {
  test("each has its own numbers; one that was never heard of has zeros", () => {
    const { stats } = open();
    stats.admitted("ada", 3);
    stats.refused("ada", 1);
    stats.admitted("bob", 1);
    assert.deepEqual(stats.client("ada"), { accepted: 3, refused: 1 });
    assert.deepEqual(stats.client("bob"), { accepted: 1, refused: 0 });
    assert.deepEqual(stats.client("eve"), { accepted: 0, refused: 0 });
  });

  test("beyond ten thousand are counted together, and those before keep their own", () => {
    const { stats } = open();
    for (let client = 0; client < 10_050; client += 1) stats.admitted(`client ${client}`, 1);
    stats.admitted("client 1", 1);
    assert.deepEqual(stats.client("client 1"), { accepted: 2, refused: 0 });
    assert.deepEqual(stats.client("client 10049"), { accepted: 0, refused: 0 });
    assert.deepEqual(stats.client("(others)"), { accepted: 50, refused: 0 });
  });
});

test("uptime is by the clock that never jumps", () => {
  const { stats, clock } = open();
  clock.advance(1234);
  clock.jump(1_000_000);
  assert.equal(stats.uptimeMs(), 1234);
});
