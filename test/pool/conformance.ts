/** What every pool must do: the real ones, and the fake that stands in for them. A pool's own test hands itself in. */
import assert from "node:assert/strict";
import { suite, test, type TestContext } from "node:test";
import type { Lease } from "../../src/job/job.ts";
import { createSignal } from "../../src/lifecycle.ts";
import type { AttemptEvent, Ended, Pool } from "../../src/pool/port.ts";
import type { Bounds } from "../../src/pool/size.ts";
import { type FakeClock, turn } from "../support/fake-clock.ts";
import { until } from "../support/until.ts";
import { job, shown } from "./try-pool.ts";

/** Parts of the port that a pool need not have. */
export type Part = "chunks" | "deadlines" | "minimum";

export type PoolKind = {
  readonly name: string;
  /** A pool of the tasks in ./tasks, which ends with the test. */
  open(
    t: TestContext,
    size: Bounds,
    graceMs: number,
    idleMs: number,
  ): { readonly pool: Pool; readonly clock: FakeClock };
  /** Parts that it does not have, each with the reason. */
  readonly skips?: { readonly [P in Part]?: string };
};

/** No job takes so long to stop, also on a busy machine. */
const longGraceMs = 60_000;
const longIdleMs = 60_000;
/** By the clock of the pool's threads, which a test need not have in its hands. */
const shortIdleMs = 20;
const slowMs = 50;
/** Of the watchdog: so late may anything be noticed. */
const lateMs = 40;

async function untilWorkers(pool: Pool, clock: FakeClock, count: number): Promise<void> {
  clock.advance(shortIdleMs);
  await until(() => pool.workers() === count);
}

/** Runs jobs, and keeps what the pool reports of them. */
function run(pool: Pool, leases: readonly Lease[], takesBack = true) {
  const ended: Ended[] = [];
  const released: Lease[] = [];
  const events: { readonly lease: Lease; readonly event: AttemptEvent }[] = [];
  let hasReturned = false;
  let changed = createSignal();
  const report = () => {
    assert.ok(hasReturned, "nothing is reported before run returns");
    changed.fire();
    changed = createSignal();
  };
  const done = pool.run(leases, {
    onEnded(all) {
      ended.push(...all);
      report();
    },
    ...(takesBack && {
      onReleased(all: readonly Lease[]) {
        released.push(...all);
        report();
      },
    }),
    onEvent(lease, event) {
      events.push({ lease, event });
      report();
    },
  });
  hasReturned = true;
  /** Resolves once the reports make it so. */
  const until = async (isSo: () => boolean) => {
    while (!isSo()) await changed.promise;
  };
  return {
    ...{ ended, released, events, done, until },
    shown: () => ended.map(shown),
    /** Resolves once a job runs that logs. */
    logs: (lease: Lease) => until(() => events.some((each) => each.lease === lease && each.event.kind === "log")),
  };
}

export function poolConformance({ name, skips = {}, ...kind }: PoolKind): void {
  const open = (t: TestContext, workers: number | Bounds, graceMs = longGraceMs, idleMs = longIdleMs) =>
    kind.open(t, typeof workers === "number" ? { min: workers, max: workers } : workers, graceMs, idleMs);
  const of = (part: Part, sentence: string, body: (t: TestContext) => Promise<void>) => {
    const why = skips[part];
    test(sentence, why === undefined ? {} : { skip: why }, body);
  };

  suite(`${name}: run`, () => {
    test("reports each job once, with its own lease, and resolves when the worker is free again", async (t) => {
      const { pool } = open(t, 1);
      const lease = job("echo", 1);
      assert.equal(pool.free(), pool.concurrency);
      const chunk = run(pool, [lease]);
      assert.equal(pool.free(), pool.concurrency - 1);
      await chunk.done;
      assert.deepEqual([chunk.shown(), chunk.released, pool.free()], [["succeeded json 1"], [], pool.concurrency]);
      assert.equal(chunk.ended[0]?.lease, lease);
      const [{ startedAt, finishedAt, tookMs } = assert.fail()] = chunk.ended;
      assert.ok(finishedAt >= startedAt && tookMs >= 0);
    });

    test("reports a failure, and goes on with the next job", async (t) => {
      const { pool } = open(t, 1);
      const failing = run(pool, [job("throws", "permanent")]);
      await failing.done;
      const next = run(pool, [job("echo", 2)]);
      await next.done;
      assert.deepEqual([failing.shown(), next.shown()], [["failed too_old"], ["succeeded json 2"]]);
    });

    of("chunks", "runs a chunk one job after the other, in its order", async (t) => {
      const { pool } = open(t, 1);
      const chunk = run(pool, [job("echo", 1), job("throws", "permanent"), job("echo", 2)], false);
      await chunk.done;
      assert.deepEqual(chunk.shown(), ["succeeded json 1", "failed too_old", "succeeded json 2"]);
    });

    of("chunks", "reports what ended in front of a slow job while that goes on", async (t) => {
      const { pool, clock } = open(t, 1);
      const [quick, slow] = [job("echo", 1), job("waits", "finish")];
      const chunk = run(pool, [quick, slow], false);
      await chunk.logs(slow);
      clock.advance(lateMs);
      await chunk.until(() => chunk.ended.length > 0);
      assert.deepEqual([chunk.shown(), pool.cancel(quick.seq)], [["succeeded json 1"], false]);
      pool.cancel(slow.seq);
      await chunk.done;
      assert.deepEqual(chunk.shown(), ["succeeded json 1", `succeeded json "done"`]);
    });

    of("chunks", "takes jobs back from behind a slow one, and they can run elsewhere at once", async (t) => {
      const { pool, clock } = open(t, 2);
      const [slow, ...others] = [job("waits", "finish"), job("echo", 1), job("echo", 2)];
      const chunk = run(pool, [slow, ...others]);
      await chunk.logs(slow);
      clock.advance(slowMs + lateMs);
      assert.deepEqual([chunk.released, pool.free()], [others, 2 * pool.concurrency - 1]);
      const elsewhere = run(pool, chunk.released, false);
      await elsewhere.done;
      assert.deepEqual(elsewhere.shown(), ["succeeded json 1", "succeeded json 2"]);
      pool.cancel(slow.seq);
      await chunk.done;
      assert.deepEqual(chunk.shown(), [`succeeded json "done"`]);
    });

    of("chunks", "takes none back where the caller does not want them", async (t) => {
      const { pool, clock } = open(t, 1);
      const slow = job("waits", "finish");
      const chunk = run(pool, [slow, job("echo", 1)], false);
      await chunk.logs(slow);
      clock.advance(slowMs + lateMs);
      pool.cancel(slow.seq);
      await chunk.done;
      assert.deepEqual(chunk.shown(), [`succeeded json "done"`, "succeeded json 1"]);
    });
  });

  suite(`${name}: cancel`, () => {
    for (const [how, expected] of [
      ["signal", "cancelled"],
      ["ownFailure", "cancelled"],
      ["finish", `succeeded json "done"`],
    ] as const) {
      test(`asks a running job to stop, and one that takes it by "${how}" has ${expected}`, async (t) => {
        const { pool } = open(t, 1);
        const lease = job("waits", how);
        const chunk = run(pool, [lease]);
        await chunk.logs(lease);
        assert.equal(pool.cancel(lease.seq, lease.fence + 1), false, "another attempt is meant");
        assert.equal(pool.cancel(lease.seq, lease.fence), true);
        await chunk.done;
        assert.deepEqual(chunk.shown(), [expected]);
        assert.equal(pool.cancel(lease.seq), false, "it has ended");
      });
    }

    test("ends the thread of a job that does not stop within its grace, and the pool goes on", async (t) => {
      const graceMs = 100;
      const { pool, clock } = open(t, 1, graceMs);
      const deaf = job("waits", "deaf");
      const chunk = run(pool, [deaf]);
      await chunk.logs(deaf);
      pool.cancel(deaf.seq);
      clock.advance(graceMs + lateMs);
      await chunk.done;
      assert.deepEqual(chunk.shown(), ["cancelled"]);
      const next = run(pool, [job("echo", 1)]);
      await next.done;
      assert.deepEqual(next.shown(), ["succeeded json 1"]);
    });

    of("chunks", "keeps a job that waits in its chunk from being run, and its neighbours run", async (t) => {
      const { pool } = open(t, 1);
      const [first, unwanted, last] = [job("waits", "finish"), job("echo", 1), job("echo", 2)];
      const chunk = run(pool, [first, unwanted, last], false);
      await chunk.logs(first);
      assert.equal(pool.cancel(unwanted.seq), true);
      pool.cancel(first.seq);
      await chunk.done;
      assert.deepEqual(chunk.shown(), [`succeeded json "done"`, "cancelled", "succeeded json 2"]);
      assert.ok(!chunk.events.some(({ lease }) => lease === unwanted));
    });
  });

  suite(`${name}: limits`, () => {
    test("an attempt that takes longer than its timeout is asked to stop", async (t) => {
      const { pool, clock } = open(t, 1);
      const lease = job("waits", "signal", { timeoutMs: 200 });
      const chunk = run(pool, [lease]);
      await chunk.logs(lease);
      clock.advance(200 + lateMs);
      await chunk.done;
      assert.deepEqual(chunk.shown(), ["timed_out 200"]);
    });

    test("a job whose deadline has passed does not begin", async (t) => {
      const { pool, clock } = open(t, 1);
      const chunk = run(pool, [job("echo", 1, { expiresAt: clock.now() - 1 })]);
      await chunk.done;
      assert.deepEqual([chunk.shown(), chunk.events], [["expired unstarted"], []]);
    });

    of("deadlines", "a job whose deadline passes while it runs is asked to stop", async (t) => {
      const { pool, clock } = open(t, 1);
      const lease = job("waits", "signal", { expiresAt: clock.now() + 600_000 });
      const chunk = run(pool, [lease]);
      await chunk.logs(lease);
      clock.advance(600_000 + lateMs);
      await chunk.done;
      assert.deepEqual(chunk.shown(), ["expired started"]);
    });
  });

  suite(`${name}: its size`, () => {
    test("has a target within its bounds, the upper one at first", (t) => {
      const { pool } = open(t, { min: 1, max: 3 });
      const targets = [pool.target()];
      for (const target of [2, 0, 9]) {
        pool.setTarget(target);
        targets.push(pool.target());
      }
      pool.resize({ min: 0, max: 2 });
      targets.push(pool.target());
      assert.deepEqual([targets, pool.bounds()], [[3, 2, 1, 3, 2], { min: 0, max: 2 }]);
    });

    test("takes chunks within its target, and those of one worker while that is 0", async (t) => {
      const { pool } = open(t, { min: 0, max: 3 });
      const each = pool.concurrency;
      pool.setTarget(2);
      assert.equal(pool.free(), 2 * each);
      pool.setTarget(0);
      assert.equal(pool.free(), each);
      const chunk = run(pool, [job("echo", 1)]);
      assert.equal(pool.free(), each - 1);
      await chunk.done;
      assert.deepEqual([chunk.shown(), pool.free()], [["succeeded json 1"], each]);
    });

    test("starts no worker before the first job, and ends those that are idle for long, never a busy one", async (t) => {
      const { pool, clock } = open(t, { min: 0, max: 2 }, longGraceMs, shortIdleMs);
      assert.deepEqual([pool.workers(), pool.busyWorkers(), pool.canRun()], [0, 0, true]);
      const slow = job("waits", "finish");
      const [busy, quick] = [run(pool, [slow]), run(pool, [job("echo", 1)])];
      await Promise.all([busy.logs(slow), quick.done]);
      await untilWorkers(pool, clock, 1);
      assert.equal(pool.busyWorkers(), 1);
      pool.cancel(slow.seq);
      await busy.done;
      assert.deepEqual(busy.shown(), [`succeeded json "done"`]);
      await untilWorkers(pool, clock, 0);
      assert.deepEqual([pool.busyWorkers(), pool.canRun(), pool.free()], [0, true, 2 * pool.concurrency]);
      const next = run(pool, [job("echo", 2)]);
      await next.done;
      assert.deepEqual(next.shown(), ["succeeded json 2"]);
    });

    test("grows beyond the bounds that it was made with, and what runs above lower ones goes on", async (t) => {
      const { pool } = open(t, 1);
      pool.resize({ min: 0, max: 4 });
      const each = pool.concurrency;
      assert.equal(pool.free(), each, "the target stays");
      pool.setTarget(4);
      const leases = Array.from({ length: 4 * each }, () => job("waits", "finish"));
      const chunks = leases.map((lease) => run(pool, [lease]));
      await Promise.all(chunks.map((chunk, index) => chunk.logs(leases[index] as Lease)));
      assert.deepEqual([pool.workers(), pool.busyWorkers(), pool.free()], [4, 4, 0]);
      pool.resize({ min: 0, max: 2 });
      for (const lease of leases.slice(0, 3 * each)) pool.cancel(lease.seq);
      await Promise.all(chunks.slice(0, 3 * each).map(({ done }) => done));
      assert.equal(pool.free(), each);
      for (const lease of leases.slice(3 * each)) pool.cancel(lease.seq);
      await Promise.all(chunks.map(({ done }) => done));
      assert.deepEqual(new Set(chunks.flatMap((chunk) => chunk.shown())), new Set([`succeeded json "done"`]));
      assert.equal(pool.free(), 2 * each);
    });

    of("minimum", "has as many workers as its lower bound, whenever that is raised or lowered", async (t) => {
      const { pool, clock } = open(t, { min: 1, max: 3 }, longGraceMs, shortIdleMs);
      assert.equal(pool.workers(), 1);
      pool.resize({ min: 3, max: 3 });
      assert.equal(pool.workers(), 3);
      pool.resize({ min: 2, max: 3 });
      await untilWorkers(pool, clock, 2);
      pool.resize({ min: 0, max: 3 });
      await untilWorkers(pool, clock, 0);
    });
  });

  suite(`${name}: a thread that dies`, () => {
    test("has failed the job it ran, and the pool goes on", async (t) => {
      const { pool } = open(t, 1);
      const chunk = run(pool, [job("dies", "exit")]);
      await chunk.done;
      const next = run(pool, [job("echo", 1)]);
      await next.done;
      assert.deepEqual([chunk.shown(), next.shown()], [["failed worker_died"], ["succeeded json 1"]]);
    });

    of("chunks", "releases those behind it", async (t) => {
      const { pool } = open(t, 1);
      const chunk = run(pool, [job("dies", "exit"), job("echo", 1)], false);
      await chunk.done;
      assert.deepEqual(chunk.shown(), ["failed worker_died", "released"]);
    });
  });

  suite(`${name}: progress and log lines`, () => {
    test("are reported with the job's lease, and progress is known until its end", async (t) => {
      const { pool } = open(t, 1);
      const lease = job("names", "wait");
      const chunk = run(pool, [lease]);
      await chunk.logs(lease);
      const progress = { fraction: 0.5, note: "half" };
      assert.deepEqual(pool.progressOf(lease.seq), progress);
      pool.cancel(lease.seq);
      await chunk.done;
      assert.equal(pool.progressOf(lease.seq), undefined);
      assert.deepEqual(chunk.events[0], { lease, event: { kind: "progress", progress } });
      const { event: line } = chunk.events[1] ?? assert.fail();
      assert.deepEqual(line.kind === "log" && [line.level, line.text], ["info", "here"]);
    });
  });

  suite(`${name}: the end of the pool`, () => {
    test("releaseAll asks what runs to stop and releases it, and all that comes later", async (t) => {
      const { pool } = open(t, 2);
      const leases = [job("waits", "signal"), job("waits", "finish")];
      const chunks = leases.map((lease) => run(pool, [lease]));
      await Promise.all(chunks.map((chunk, index) => chunk.logs(leases[index] as Lease)));
      pool.releaseAll();
      await Promise.all(chunks.map(({ done }) => done));
      assert.deepEqual(
        chunks.map((chunk) => chunk.shown()),
        [["released"], [`succeeded json "done"`]],
      );
      const late = run(pool, [job("echo", 1)]);
      await late.done;
      assert.deepEqual([late.shown(), late.released], [["released"], []]);
    });

    of("chunks", "releaseAll takes back what did not begin", async (t) => {
      const { pool } = open(t, 1);
      const [first, ...others] = [job("waits", "signal"), job("echo", 1), job("echo", 2)];
      const chunk = run(pool, [first, ...others]);
      await chunk.logs(first);
      pool.releaseAll();
      assert.deepEqual(chunk.released, others);
      await chunk.done;
      assert.deepEqual(chunk.shown(), ["released"]);
    });

    test("destroy releases what runs, whether it listens or not, and can be repeated", async (t) => {
      const { pool, clock } = open(t, 1);
      const deaf = job("waits", "deaf");
      const chunk = run(pool, [deaf]);
      await chunk.logs(deaf);
      const destroyed = [pool.destroy(), pool.destroy()];
      // far less than a pool waits before it leaves a thread behind: this ends once the thread has
      for (let step = 0; step < 10; step += 1) {
        clock.advance(lateMs);
        await turn();
      }
      await Promise.all([...destroyed, chunk.done]);
      assert.deepEqual([chunk.shown(), chunk.released], [["released"], []]);
    });
  });
}
