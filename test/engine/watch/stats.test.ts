import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { createStats } from "../../../src/engine/watch/stats.ts";
import type { Outcome } from "../../../src/job/job.ts";
import { createFakeClock } from "../../support/fake-clock.ts";
import { createRegistry } from "../../../src/metrics/registry.ts";
import type { Ended } from "../../../src/pool/pool.ts";
import { endedOf, failedOnce, newLease, settlementOf, succeeded } from "../../support/samples.ts";
import { t0 } from "../../store/sample.ts";

function open() {
  const clock = createFakeClock();
  const stats = createStats(clock, createRegistry(clock));
  const endAll = (ended: readonly Ended[]) => stats.ended(ended, ended.map(settlementOf));
  const end = (count: number, outcome: Outcome = succeeded, tookMs = 3, lease = {}) =>
    endAll(Array.from({ length: count }, () => endedOf(newLease(lease), outcome, { tookMs })));
  return { clock, stats, end, endAll };
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

  test("a task whose attempts were all given back is not listed", () => {
    const { stats, end } = open();
    end(4, { kind: "released" });
    assert.deepEqual(stats.tasks(), []);
    assert.equal(stats.known(), 0);
  });

  test("a job that came too late to be started is dead, and had no attempt", () => {
    const { stats, end } = open();
    end(4, { kind: "expired", hasStarted: false });
    const [task] = stats.tasks();
    assert.deepEqual([task?.dead, task?.failed, task?.execution, task?.endToEnd], [4, 0, null, null]);
  });

  test("jobs are counted as they are accepted, tried again, and become final", () => {
    const { stats, end, clock } = open();
    const job = { task: "echo", pool: "cpu" };
    for (let count = 0; count < 9; count += 1) stats.admitted("ada", job, "accepted", 1);
    stats.admitted("ada", job, "duplicate", 1);
    end(2);
    end(3, failedOnce);
    end(1, failedOnce, 3, { maxAttempts: 1 });
    stats.cancelled("ada", job);
    clock.advance(1000);
    const [task] = stats.tasks();
    assert.deepEqual([task?.accepted, task?.retries, task?.dead, task?.cancelled], [9, 3, 1, 1]);
    assert.deepEqual([task?.acceptedPerSecond, task?.finishedPerSecond], [0.9, 0.4]);
  });

  test("one task's jobs in two pools are counted for each pool", () => {
    const { stats } = open();
    for (const pool of ["cpu", "io", "cpu"]) stats.admitted("ada", { task: "moved", pool }, "accepted", 1);
    const counts = stats.tasks().map(({ task, pool, accepted }) => `${task} ${pool} ${accepted}`);
    assert.deepEqual(counts, ["moved cpu 2", "moved io 1"]);
  });

  test("beyond a thousand, as of jobs that earlier versions stored, are counted together", () => {
    const { stats } = open();
    for (let task = 0; task < 1_010; task += 1) stats.admitted("ada", { task: `t${task}`, pool: "cpu" }, "accepted", 1);
    assert.equal(stats.tasks().length, 1_001);
    assert.deepEqual([stats.tasks().at(-1)?.task, stats.tasks().at(-1)?.accepted], ["(others)", 10]);
  });

  test("each of a thousand has its own numbers, whatever its attempts come to", () => {
    const { stats, end } = open();
    const outcomes: readonly Outcome[] = [
      succeeded,
      failedOnce,
      { kind: "timed_out", timeoutMs: 5 },
      { kind: "expired", hasStarted: true },
      { kind: "lost", died: "server" },
      { kind: "cancelled" },
    ];
    for (let task = 0; task < 1_000; task += 1) {
      for (const outcome of outcomes) end(1, outcome, 3, { task: `t${task}` });
    }
    const numbers = stats.tasks().map(({ succeeded: good, failed, dead, cancelled, retries }) => {
      return [good, failed, dead, cancelled, retries].join(" ");
    });
    assert.equal(numbers.length, 1_000);
    assert.deepEqual([...new Set(numbers)], ["1 4 1 1 3"]);
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
    const { stats, endAll, clock } = open();
    for (let ms = 1; ms <= 100; ms += 1) {
      const lease = newLease({ runAt: t0 - ms, submittedAt: clock.now() - 1000 * ms });
      endAll([endedOf(lease, succeeded, { startedAt: t0, tookMs: ms / 10 })]);
    }
    const [task] = stats.tasks();
    near(task?.execution?.p50, 5);
    near(task?.execution?.p90, 9);
    near(task?.execution?.p99, 9.9);
    near(task?.queueWait?.p50, 50);
    near(task?.endToEnd?.p90, 90_000);
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

  test("of a whole job leave out redriven ones, for that time is of whoever redrove them", () => {
    const { stats, endAll, clock } = open();
    endAll([endedOf(newLease({ redrives: 1, submittedAt: clock.now() - 3 * 86_400_000 }))]);
    const [task] = stats.tasks();
    assert.equal(task?.succeeded, 1);
    assert.ok(task.execution);
    assert.equal(task.endToEnd, null);
    assert.equal(stats.client("ada").endToEnd, null);
  });

  test("of a quiet time are null", () => {
    const { stats, end, clock } = open();
    end(1);
    clock.advance(180_000);
    assert.equal(stats.tasks()[0]?.execution, null);
  });

  test("bear a wait that clocks made negative", () => {
    const { stats, endAll } = open();
    endAll([endedOf(newLease({ runAt: t0 + 1000 }), succeeded, { startedAt: t0, tookMs: -5 })]);
    assert.deepEqual(stats.tasks()[0]?.queueWait, { p50: 0.001, p90: 0.001, p99: 0.001 });
  });
});

describe("clients", () => {
  const job = { task: "echo", pool: "cpu" };
  const shown = ({ accepted, refused }: { readonly accepted: number; readonly refused: number }) => [accepted, refused];

  test("each has its own numbers; one that was never heard of has zeros", () => {
    const { stats, end, clock } = open();
    for (let count = 0; count < 3; count += 1) stats.admitted("ada", job, "accepted", 1);
    stats.admitted("ada", job, "duplicate", 1);
    stats.refused("ada", "queue_full", 1);
    stats.refused("ada", "rate_limited", 4);
    stats.throttled("ada", 2, 1500);
    stats.admitted("bob", job, "accepted", 1);
    stats.cancelled("bob", job);
    end(2, succeeded, 7, { client: "ada" });
    end(1, failedOnce, 7, { client: "ada", maxAttempts: 1 });
    end(1, failedOnce, 7, { client: "ada" });
    clock.advance(1000);

    const ada = stats.client("ada");
    assert.deepEqual(
      [ada.accepted, ada.duplicates, ada.refused, ada.succeeded, ada.dead, ada.cancelled, ada.retries, ada.throttledMs],
      [3, 1, 5, 2, 1, 0, 1, 1500],
    );
    assert.deepEqual(ada.refusedBy, [
      { reason: "rate_limited", jobs: 4 },
      { reason: "queue_full", jobs: 1 },
    ]);
    assert.deepEqual([ada.acceptedPerSecond, ada.finishedPerSecond], [0.3, 0.3]);
    assert.ok(ada.execution && ada.execution.p50 > 6.5 && ada.execution.p50 < 7.5);
    assert.ok(ada.queueWait && ada.endToEnd);
    const bob = stats.client("bob");
    assert.deepEqual([bob.accepted, bob.cancelled, bob.execution], [1, 1, null]);
    assert.deepEqual(shown(stats.client("eve")), [0, 0]);
  });

  test("the counts of the ten thousand that had jobs last are kept, and no more", () => {
    const { stats, clock } = open();
    const submit = (client: number) => stats.admitted(`client ${client}`, job, "accepted", 1);
    for (let client = 0; client < 10_000; client += 1) submit(client);
    clock.advance(1_000);
    submit(0);
    submit(10_000);
    assert.deepEqual(shown(stats.client("client 0")), [2, 0]);
    assert.deepEqual(shown(stats.client("client 1")), [0, 0]); // it had its job longest ago
    assert.deepEqual(shown(stats.client("client 10000")), [1, 0]);
    assert.equal(stats.known(), 10_000);
    submit(1);
    assert.deepEqual(shown(stats.client("client 1")), [1, 0]);
  });

  test("made-up names whose jobs are refused end the numbers of nobody who had a job", () => {
    const { stats } = open();
    stats.admitted("ada", job, "accepted", 5);
    for (let name = 0; name < 10_050; name += 1) stats.refused(`name ${name}`, "unknown_task", 1);
    stats.refused("ada", "queue_full", 2);
    stats.admitted("bob", job, "accepted", 3);
    assert.deepEqual(shown(stats.client("ada")), [5, 2]);
    assert.deepEqual(shown(stats.client("bob")), [3, 0]);
    assert.deepEqual(shown(stats.client("name 10049")), [0, 1]);
    assert.equal(stats.known(), 1_002);
  });

  test("what a client was refused before its first job is counted with what comes after", () => {
    const { stats } = open();
    stats.refused("ada", "unknown_task", 1);
    stats.throttled("ada", 1, 20);
    stats.admitted("ada", job, "accepted", 1);
    stats.refused("ada", "unknown_task", 1);
    assert.deepEqual(shown(stats.client("ada")), [1, 2]);
    assert.equal(stats.client("ada").throttledMs, 20);
    assert.equal(stats.known(), 1);
  });

  test("percentiles and rates are of a thousand clients, which keep them while they are busy; the counts of all are kept", () => {
    const { stats, end, clock } = open();
    const work = (client: number) => end(1, succeeded, 3, { client: `client ${client}` });
    for (let second = 0; second < 11; second += 1) {
      for (let client = 0; client < 1_010; client += 1) work(client); // in turns, for more time than a place is kept
      clock.advance(1000);
    }
    const perSecond = (client: number) => stats.client(`client ${client}`).finishedPerSecond;
    assert.deepEqual([perSecond(0), perSecond(999), perSecond(1_000)], [1, 1, 0]);
    assert.ok(stats.client("client 999").execution);
    assert.deepEqual([stats.client("client 1000").execution, stats.client("client 1000").succeeded], [null, 11]);
  });

  test("a client that was not busy for ten seconds gives its place among the thousand to another", () => {
    const { stats, end, clock } = open();
    const work = (client: number) => end(1, succeeded, 3, { client: `client ${client}` });
    for (let client = 0; client < 1_000; client += 1) work(client);
    clock.advance(5_000);
    work(0);
    clock.advance(5_000);
    work(1_000);
    const has = (client: number) => stats.client(`client ${client}`).execution !== null;
    assert.deepEqual([has(0), has(1), has(2), has(1_000)], [true, false, true, true]);
  });

  test("the busiest are those with the most jobs now, then since the start", () => {
    const { stats, clock } = open();
    const submit = (client: string, jobs: number) => {
      for (let count = 0; count < jobs; count += 1) stats.admitted(client, job, "accepted", 1);
    };
    submit("early", 100);
    submit("earlier", 200);
    clock.advance(60_000);
    submit("now", 2);
    clock.advance(1_000);
    const names = (limit: number) => stats.busiest(limit).map(({ client }) => client);
    assert.deepEqual(names(10), ["now", "earlier", "early"]);
    assert.deepEqual(names(2), ["now", "earlier"]);
  });
});

test("uptime is by the clock that never jumps", () => {
  const { stats, clock } = open();
  clock.advance(1234);
  clock.jump(1_000_000);
  assert.equal(stats.uptimeMs(), 1234);
});
