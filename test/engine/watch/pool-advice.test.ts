import assert from "node:assert/strict";
import { describe, test } from "node:test";
import * as fc from "fast-check";
import { advise, type MeasuredPool, type PoolSizing } from "../../../src/engine/watch/pool-advice.ts";

const hourMs = 3_600_000;

/** An hour of a pool on four cores, of whose workers so many were busy on average. */
function measured(now: Partial<PoolSizing>, busy: number, facts: Partial<MeasuredPool> = {}): MeasuredPool {
  const sizing = { work: "mixed", min: 1, max: 8, concurrency: 1, ...now } as const;
  return {
    ...{ now: sizing, cores: 4, attempts: 10_000, observedMs: hourMs },
    ...{ workerMs: Math.max(busy, sizing.min) * hourMs, busyMs: busy * hourMs, jobMs: busy * hourMs, cpuMs: null },
    ...{ peakRunning: Math.ceil(busy), crowdedMs: 0, waitMs: { p50: 1, p99: 20 } },
    ...facts,
  };
}

const waits = { p50: 2_000, p99: 30_000 };
const cpu = (share: number, busy: number) => ({ cpuMs: share * busy * hourMs });

describe("advice on a pool", () => {
  test("is none while too little is known, and says what is missing", () => {
    for (const [facts, missing] of [
      [{ observedMs: 59_000 }, "measured for 59.0 s of 60.0 s"],
      [{ attempts: 19 }, "19 of 20 attempts"],
      [{ jobMs: 900 }, "900 ms of 5.0 s of work"],
      [{ attempts: 1, jobMs: 900 }, "1 of 20 attempts, 900 ms of 5.0 s of work"],
    ] as const) {
      const given = measured({}, 2, facts);
      const { isFounded, sizing, why } = advise(given);
      assert.deepEqual([isFounded, sizing], [false, given.now]);
      assert.deepEqual(why, [`too little is known: ${missing}`]);
    }
    assert.equal(advise(measured({}, 0, { observedMs: 0, attempts: 0 })).busyShare, 0);
  });

  test("keeps a size that fits, and says so", () => {
    const { isFounded, sizing, why } = advise(measured({}, 3));
    assert.deepEqual([isFounded, sizing], [true, { work: "mixed", min: 1, max: 8, concurrency: 1 }]);
    assert.deepEqual(why, ["it fits: workers are busy for 100 % of their time, and jobs do not wait long"]);
  });

  test("names the work by the processor's share of the jobs' time, except of what others limit", () => {
    const workOf = (share: number, work: PoolSizing["work"]) =>
      advise(measured({ work }, 2, cpu(share, 2))).sizing.work;
    assert.deepEqual(
      [0.9, 0.7, 0.5, 0.2, 0.01].map((share) => workOf(share, "mixed")),
      ["cpu", "cpu", "mixed", "io", "io"],
    );
    assert.equal(workOf(0.9, "limited"), "limited");
    const { why } = advise(measured({ work: "io", concurrency: 4 }, 2, cpu(0.9, 2)));
    assert.match(why.join("; "), /busy for 90 % of their time: that is cpu work; .*concurrency 1/);
  });

  test("does not take jobs that waited for a core for jobs that waited for a network", () => {
    const of = (share: number, crowdedMs: number) =>
      advise(measured({ work: "mixed", min: 2, max: 2 }, 2, { ...cpu(share, 2), crowdedMs })).sizing;
    assert.deepEqual([of(0.02, 0).work, of(0.02, hourMs / 10).work], ["io", "io"]);
    const { work, max, concurrency } = of(0.02, hourMs / 2);
    assert.deepEqual([work, max, concurrency], ["mixed", 2, 1]);
    assert.equal(of(0.9, hourMs).work, "cpu", "what a job had of the processor in spite of that is its own");
  });

  test("takes no worker from a pool without room", () => {
    const maxOf = (busy: number) =>
      advise(measured({ work: "io" }, busy, { ...cpu(0.02, busy), peakRunning: 8 })).sizing.max;
    assert.deepEqual([maxOf(8), maxOf(4)], [8, 1]);
  });

  test("gives work of the processor as many workers as cores, neither fewer nor more", () => {
    const more = advise(measured({ work: "cpu", max: 2 }, 2, { waitMs: waits }));
    assert.equal(more.sizing.max, 4);
    assert.match(
      more.why.join(),
      /^all 2 places were taken and jobs waited for 30\.0 s \(p99\): max 4, as many as cores$/,
    );
    const fewer = advise(measured({ work: "cpu", max: 16 }, 10));
    assert.deepEqual([fewer.sizing.max, fewer.why], [4, ["4 cores cannot run 16 workers at once: max 4"]]);
    const full = advise(measured({ work: "cpu", max: 4 }, 4, { waitMs: waits }));
    assert.equal(full.sizing.max, 4);
    assert.match(full.why.join(), /more workers would make each job slower/);
  });

  test("raises mixed work to twice the cores, and work that waits to four times, then its concurrency", () => {
    const mixed = advise(measured({ work: "mixed", max: 5 }, 5, { waitMs: waits }));
    assert.equal(mixed.sizing.max, 8);
    const io = advise(measured({ work: "io", max: 4, concurrency: 32 }, 4, { waitMs: waits, peakRunning: 128 }));
    assert.deepEqual([io.sizing.max, io.sizing.concurrency], [8, 32]);
    const full = advise(measured({ work: "io", max: 16, concurrency: 32 }, 16, { waitMs: waits, peakRunning: 512 }));
    assert.deepEqual([full.sizing.max, full.sizing.concurrency], [16, 64]);
    const most = advise(measured({ work: "io", max: 16, concurrency: 256 }, 16, { waitMs: waits, peakRunning: 4_096 }));
    assert.deepEqual([most.sizing.max, most.sizing.concurrency], [16, 256]);
  });

  test("puts jobs that wait, each in a worker of its own, together into few workers", () => {
    const { sizing, why } = advise(measured({ work: "io", max: 16 }, 12, cpu(0.05, 12)));
    assert.deepEqual(sizing, { work: "io", min: 1, max: 1, concurrency: 32 });
    assert.match(
      why.join(),
      /^12 jobs at once mostly waited, each in a worker of its own: concurrency 32 needs 1 worker/,
    );
  });

  test("never raises what others limit, and says what to ask", () => {
    const { sizing, why } = advise(measured({ work: "limited", max: 25 }, 25, { waitMs: waits }));
    assert.equal(sizing.max, 25);
    assert.match(why.join(), /raise max only if what the jobs use allows more than 25 at once/);
  });

  test("lowers a minimum that is idle, and raises one whose jobs wait for workers to start", () => {
    const idle = advise(measured({ min: 8 }, 0.5));
    assert.deepEqual(
      [idle.sizing.min, idle.why],
      [1, ["8 workers are kept and 0.5 were busy on average: min 1 saves memory"]],
    );
    const late = advise(measured({ min: 0 }, 2.5, { waitMs: { p50: 400, p99: 900 } }));
    assert.equal(late.sizing.min, 3);
  });

  test("always is a size that a configuration may have, with a reason", () => {
    const number = fc.double({ min: 0, max: 64, noNaN: true });
    const bounds = fc.tuple(fc.integer({ min: 0, max: 64 }), fc.integer({ min: 1, max: 64 }));
    fc.assert(
      fc.property(
        fc.constantFrom("cpu", "io", "mixed", "limited"),
        ...[bounds, fc.integer({ min: 1, max: 256 }), fc.integer({ min: 1, max: 64 })],
        ...[number, fc.option(fc.double({ min: 0, max: 1, noNaN: true })), fc.integer({ min: 0, max: 100_000 })],
        (work, [least, max], places, cores, busy, share, p50) => {
          const concurrency = work === "cpu" ? 1 : places;
          const given = measured({ work, min: Math.min(least, max), max, concurrency }, Math.min(busy, max), {
            ...{ cores, peakRunning: Math.ceil(Math.min(busy, max) * concurrency), waitMs: { p50, p99: p50 * 2 } },
            ...(share !== null && cpu(share, Math.min(busy, max))),
          });
          const { sizing, why, busyShare } = advise(given);
          assert.ok(sizing.min >= 0 && sizing.min <= sizing.max && sizing.max >= 1, JSON.stringify(sizing));
          assert.ok(sizing.concurrency >= 1 && sizing.concurrency <= 256);
          assert.ok(sizing.work !== "cpu" || sizing.concurrency === 1);
          assert.ok(why.length > 0 && busyShare >= 0 && busyShare <= 1);
        },
      ),
    );
  });
});
