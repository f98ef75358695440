/** What stays right for each job where one thread runs many at once. */
import assert from "node:assert/strict";
import { describe, test, type TestContext } from "node:test";
import type { Lease } from "../../src/job/job.ts";
import { childSpanId, attemptSpanId } from "../../src/job/trace.ts";
import { createFakeClock } from "../support/fake-clock.ts";
import { until } from "../support/until.ts";
import { blocking } from "./blocking.ts";
import { job, shown, tryPool, type TryOptions } from "./try-pool.ts";

const concurrency = 32;
const lateMs = 40;
const dies = "a worker failed through unknown code, and is ended: its jobs return to the queue";

/** Jobs that run beside each other in one thread; resolves once all of them do. */
async function open(t: TestContext, leases: readonly Lease[], options: TryOptions = {}) {
  const tried = tryPool(t, { work: "io", concurrency, graceMs: 60_000, ...options });
  const ends = leases.map((lease) => tried.pool.run([lease]));
  await tried.heard("waiting", leases.length);
  const outcomes = async () => (await Promise.all(ends)).flat().map(shown);
  return { ...tried, ends, outcomes };
}

const many = (how: string, count: number) => Array.from({ length: count }, () => job("waits", how));
const kinds = (count: number, what: string) => Array.from({ length: count }, () => what);
const done = `succeeded json "done"`;

describe("of 32 jobs in one thread", () => {
  test("one that is cancelled and listens ends alone", async (t) => {
    const [one, ...others] = many("signal", concurrency) as [Lease, ...Lease[]];
    const { pool, bare, ends, outcomes } = await open(t, [one, ...others]);
    assert.deepEqual([bare.workers(), bare.busyWorkers(), bare.free()], [1, 1, 0]);
    pool.cancel(one.seq);
    await ends[0];
    assert.equal(bare.free(), 1);
    for (const { seq } of others) pool.cancel(seq);
    assert.deepEqual(await outcomes(), kinds(concurrency, "cancelled"));
  });

  test("one that takes longer than its timeout ends alone, and one whose deadline passes", async (t) => {
    const clock = createFakeClock(Date.now());
    const late = job("waits", "signal", { timeoutMs: 200 });
    const expires = job("waits", "signal", { expiresAt: clock.now() + 600_000 });
    const others = many("finish", concurrency - 2);
    const { pool, ends, outcomes } = await open(t, [late, expires, ...others], { clock });
    clock.advance(200 + lateMs);
    assert.deepEqual((await ends[0])?.map(shown), ["timed_out 200"]);
    clock.advance(600_000);
    assert.deepEqual((await ends[1])?.map(shown), ["expired started"]);
    for (const { seq } of others) pool.cancel(seq);
    assert.deepEqual((await outcomes()).slice(2), kinds(concurrency - 2, done));
  });

  test("one that does not stop ends the thread, and the others are handed back", async (t) => {
    const clock = createFakeClock(Date.now());
    const deaf = job("waits", "deaf");
    const others = many("finish", concurrency - 1);
    const { pool, outcomes, run } = await open(t, [deaf, ...others], { clock, graceMs: 100 });
    pool.cancel(deaf.seq);
    clock.advance(100 + lateMs);
    assert.deepEqual(await outcomes(), ["cancelled", ...kinds(concurrency - 1, "released")]);
    assert.equal(shown(await run("echo", 1)), "succeeded json 1");
  });

  test("one beside others that do not stop is handed back each time, for it is known who did it", async (t) => {
    const clock = createFakeClock(Date.now());
    const tried = tryPool(t, { work: "io", concurrency: 2, graceMs: 100, clock });
    const neighbour = job("waits", "finish");
    const rounds: string[][] = [];
    for (let round = 1; round <= 7; round += 1) {
      const deaf = job("waits", "deaf");
      await until(() => tried.bare.free() === 2); // threads that end keep their places for as long as that takes
      const ends = [tried.pool.run([deaf]), tried.pool.run([neighbour])];
      await tried.heard("waiting", 2 * round);
      tried.pool.cancel(deaf.seq);
      clock.advance(100 + lateMs);
      rounds.push((await Promise.all(ends)).flat().map(shown));
    }
    assert.deepEqual(
      rounds,
      Array.from({ length: 7 }, () => ["cancelled", "released"]),
    );
  });

  test("one that throws where nothing catches it has failed, and the others are handed back", async (t) => {
    const others = many("finish", concurrency - 1);
    const { pool, outcomes, lines } = await open(t, others);
    const culprit = job("dies", "uncaught");
    const [ended] = await pool.run([culprit]);
    assert.equal(ended && shown(ended), "failed task_failed");
    assert.deepEqual(await outcomes(), kinds(concurrency - 1, "released"));
    assert.deepEqual(
      lines.map(({ fields }) => fields["job"]),
      [...others.map(({ id }) => id), culprit.id],
    );
  });

  test("none is blamed for an error of unknown code, as often as a job may be handed back", async (t) => {
    const { pool, outcomes, times } = await open(t, many("finish", 3), { maxHandBacks: 1 });
    const stray = job("strays", "native");
    assert.deepEqual((await pool.run([stray])).map(shown), ["released"]);
    assert.deepEqual(await outcomes(), kinds(3, "released"));
    assert.equal(times(dies), 1);
    const neighbour = job("waits", "finish");
    const beside = pool.run([neighbour]);
    assert.deepEqual((await pool.run([stray])).map(shown), ["failed worker_died"]);
    assert.deepEqual((await beside).map(shown), ["released"]);
  });

  test("one that ends just before another fails has its outcome, though that comes by another port than the fault", async (t) => {
    const tried = tryPool(t, { work: "io", concurrency });
    for (let round = 1; round <= 8; round += 1) {
      const ended = tried.pool.run([job("shares", "ends")]);
      await tried.heard("waiting", round);
      const failed = tried.pool.run([job("shares", "fails")]);
      assert.deepEqual([...(await ended), ...(await failed)].map(shown), ["succeeded", "failed task_failed"]);
    }
  });

  test("those that ended in front of a slow one keep their outcome, in each chunk, when a fault ends the thread", async (t) => {
    const tried = tryPool(t, { work: "io", concurrency, takesBack: false });
    const chunks = [1, 2, 3].map((value) => [job("echo", value), job("echo", -value), job("waits", "deaf")]);
    const ends = chunks.map((leases) => tried.pool.run(leases));
    await tried.heard("waiting", chunks.length);
    const culprit = await tried.pool.run([job("shares", "fails")]);
    assert.deepEqual(culprit.map(shown), ["failed task_failed"]);
    assert.deepEqual(
      (await Promise.all(ends)).map((ended) => ended.map(shown)),
      [1, 2, 3].map((value) => [`succeeded json ${value}`, `succeeded json ${-value}`, "released"]),
    );
  });

  test("none is blamed for what one left behind that has ended", async (t) => {
    const { pool, outcomes, lines } = await open(t, many("finish", 3));
    const left = job("leaves", "idle");
    assert.deepEqual((await pool.run([left])).map(shown), ["succeeded"]);
    assert.deepEqual(await outcomes(), kinds(3, "released"));
    const line = lines.find(({ text }) => text.startsWith("what a job left behind failed"));
    assert.equal(line?.fields["job"], left.id);
  });

  test("each has progress, log lines and spans of its own", async (t) => {
    const leases = Array.from({ length: 8 }, () => job("shares", "span", { trace: null }));
    const { pool, events, heard } = tryPool(t, { work: "io", concurrency, isTraced: true });
    const named = job("names", "wait");
    const waits = pool.run([named]);
    await heard("here");
    const all = (await Promise.all(leases.map((lease) => pool.run([lease])))).flat();
    assert.deepEqual(pool.progressOf(named.seq), { fraction: 0.5, note: "half" });
    pool.cancel(named.seq);
    await waits;
    for (const [index, lease] of leases.entries()) {
      const ended = all.find((each) => each.lease === lease);
      const own = childSpanId(attemptSpanId(lease.id, lease.fence), 1);
      assert.match(ended ? shown(ended) : "", new RegExp(own), `of job ${index}`);
      await heard(`of ${lease.id}`);
      const logged = events
        .filter((each) => each.lease.seq === lease.seq)
        .map(({ event }) => event.kind === "log" && event.text);
      assert.deepEqual(logged, [`of ${lease.id}`]);
    }
  });

  test("what runs is released at a drain, and what waits in its chunk is taken back", async (t) => {
    const others = many("signal", concurrency - 1);
    const { pool, outcomes, heard, released } = await open(t, others);
    const [first, second] = [job("waits", "finish"), job("echo", 1)];
    const chunk = pool.run([first, second]);
    await heard("waiting", concurrency);
    pool.releaseAll();
    assert.deepEqual([(await chunk).map(shown), released], [[done], [second]]);
    assert.deepEqual(await outcomes(), kinds(concurrency - 1, "released"));
  });
});

describe("threads that run many jobs each", () => {
  test("are filled one after the other by a burst that finds none", async (t) => {
    const tried = tryPool(t, { work: "io", concurrency: 4, minWorkers: 0, maxWorkers: 8 });
    const chunks = Array.from({ length: 7 }, () => job("waits", "finish"));
    const ends = chunks.map((lease) => tried.pool.run([lease]));
    await tried.heard("waiting", 7);
    assert.equal(tried.bare.workers(), 2);
    for (const { seq } of chunks) tried.pool.cancel(seq);
    assert.deepEqual((await Promise.all(ends)).flat().map(shown), kinds(7, done));
  });

  test("share what comes evenly", async (t) => {
    const tried = tryPool(t, { work: "io", concurrency: 4, minWorkers: 2, maxWorkers: 2 });
    await tried.heard("a worker loads a task", 2);
    const leases = many("finish", 2);
    const ends = leases.map((lease) => tried.pool.run([lease]));
    await tried.heard("waiting", 2);
    assert.equal(tried.bare.busyWorkers(), 2);
    for (const { seq } of leases) tried.pool.cancel(seq);
    await Promise.all(ends);
  });
});

/** The watch over event loops goes by the machine's clock: the grace is real here, and so is what blocks. */
describe("a job that blocks its thread for longer than the grace", () => {
  const graceMs = 1_000;

  for (const how of ["spin", "spinLater", "wait"]) {
    test(`by "${how}" has failed and is named, and the others are handed back`, async (t) => {
      const others = many("finish", 3);
      const { pool, outcomes, lines, run } = await open(t, others, { graceMs });
      const culprit = job("shares", how);
      const [ended] = await pool.run([culprit]);
      assert.equal(ended && shown(ended), "failed worker_blocked");
      assert.deepEqual(await outcomes(), kinds(3, "released"));
      const line = lines.find(({ text }) => text.startsWith("a job blocks its worker"));
      assert.deepEqual([line?.fields["job"], line?.fields["jobs"]], [culprit.id, 4]);
      assert.equal(shown(await run("echo", 1)), "succeeded json 1");
    });
  }

  test("from inside a native call, after it has waited, has failed, and the others are handed back", async (t) => {
    const { folder, letGo } = await blocking(t);
    const { pool, outcomes, lines } = await open(t, many("finish", 3), { graceMs });
    try {
      const culprit = job("blocks", { later: folder });
      assert.deepEqual((await pool.run([culprit])).map(shown), ["failed worker_blocked"]);
      assert.deepEqual(await outcomes(), kinds(3, "released"));
      const line = lines.find(({ text }) => text.startsWith("a job blocks its worker"));
      assert.equal(line?.fields["job"], culprit.id);
    } finally {
      await letGo();
    }
  });

  test("after its own end is named, and none of those that run is blamed", async (t) => {
    const { pool, outcomes, lines } = await open(t, many("finish", 3), { graceMs });
    const left = job("shares", "leaves");
    await pool.run([left]);
    assert.deepEqual(await outcomes(), kinds(3, "released"));
    const line = lines.find(({ text }) => text.startsWith("what a job left behind blocks a worker"));
    assert.equal(line?.fields["job"], left.id);
  });

  test("is named, and not a neighbour that is asked to stop meanwhile and cannot", async (t) => {
    const neighbour = job("waits", "finish");
    const { pool, outcomes, events } = await open(t, [neighbour], { graceMs });
    const culprit = job("shares", "spin");
    const blocked = pool.run([culprit]);
    await until(() => events.some(({ event }) => event.kind === "log" && event.text === "spins"));
    pool.cancel(neighbour.seq);
    assert.deepEqual((await blocked).map(shown), ["failed worker_blocked"]);
    assert.deepEqual(await outcomes(), ["cancelled"]);
  });

  test("is not one of many that compute one after the other, each for less", async (t) => {
    const { pool } = tryPool(t, { work: "io", concurrency, graceMs });
    const ends = Array.from({ length: concurrency }, () => pool.run([job("shares", "burst")]));
    const all = new Set((await Promise.all(ends)).flat().map(shown));
    assert.deepEqual([...all], ["succeeded"]);
  });

  test("does not keep others from a thread that is open", async (t) => {
    const tried = tryPool(t, { work: "io", concurrency: 4, minWorkers: 2, maxWorkers: 2, graceMs });
    const [blocks, beside] = [job("shares", "spin"), job("waits", "finish")];
    const ends = [tried.pool.run([beside]), tried.pool.run([blocks])];
    await tried.heard("waiting");
    const echoes = Array.from({ length: 3 }, () => tried.pool.run([job("echo", 1)]));
    const ended = (await Promise.all(echoes)).flat();
    assert.equal(ended.length + tried.released.length, 3); // one may have been posted to the other thread before that was known
    tried.pool.cancel(beside.seq);
    await Promise.all(ends);
  });
});
