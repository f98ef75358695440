/** What the dispatcher does with leases that need not, or may not, be run, and with those it is handed back. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Lease } from "../../../src/job/job.ts";
import { turn } from "../../support/fake-clock.ts";
import { newLease } from "../../support/samples.ts";
import { t0 } from "../../store/sample.ts";
import { tryDispatcher } from "./try-dispatcher.ts";

const seqs = (leases: readonly Lease[]) => leases.map(({ seq }) => seq);

/** A dispatcher that knows its jobs to be tiny, so that it makes chunks of several. */
async function withTinyJobs(t: Parameters<typeof tryDispatcher>[0], workers: number) {
  const opened = tryDispatcher(t, { workers, maxChunk: 4 });
  const { dispatcher, put, pool, settled } = opened;
  await put(400);
  await dispatcher.start();
  for (let round = 0; settled.length < 400 && round < 1_000; round += 1) {
    await turn();
    pool.endAll();
  }
  settled.length = 0;
  return opened;
}

describe("a lease", () => {
  test("is asked for by this process, for leaseMs", async (t) => {
    const { dispatcher, asked, clock } = tryDispatcher(t, { leaseMs: 5_000 });
    await dispatcher.start();
    await turn();
    clock.advance(1_000);
    assert.deepEqual(
      asked.map(({ owner, now, leaseMs }) => [owner, now, leaseMs]),
      [0, 1_000].map((ms) => ["boot", t0 + ms, 5_000]),
    );
  });

  test("of a job whose deadline passed is settled as expired, without a worker and without an attempt", async (t) => {
    const { dispatcher, put, leased, settled, store, clock } = tryDispatcher(t, { workers: 1 });
    await put(1, { expiresAt: t0 + 1 });
    await put(1, { expiresAt: t0 + 2 });
    clock.advance(1);
    await dispatcher.start();
    await turn();
    await turn();
    assert.deepEqual(
      settled.map(({ outcome }) => outcome),
      [{ kind: "expired", hasStarted: false }],
    );
    assert.equal(leased().length, 1);
    assert.equal((await store.counts()).pools[0]?.DEAD, 1);
  });

  test("whose deadline passes while it waits for a worker is not started any more", async (t) => {
    const { dispatcher, put, pool, clock, settled } = tryDispatcher(t, { workers: 1 });
    await put(1);
    await dispatcher.start();
    await turn();
    pool.endAll(undefined, 5);
    await put(2, { expiresAt: t0 + 100 });
    dispatcher.hint();
    await turn();
    assert.equal(dispatcher.held().length, 2, "one runs, one waits");
    settled.length = 0;
    clock.advance(100);
    pool.endAll();
    await turn();
    assert.deepEqual(
      settled.map(({ outcome }) => outcome.kind),
      ["succeeded", "expired"],
    );
    assert.equal(pool.held.length, 0);
  });

  test("whose deadline passes while it waits for a worker is settled within a second, however long that is busy", async (t) => {
    const { dispatcher, put, pool, clock, settled } = tryDispatcher(t, { workers: 1 });
    await put(1);
    await dispatcher.start();
    await turn();
    pool.endAll(undefined, 5);
    await put(1);
    await put(2, { expiresAt: t0 + 2_500 });
    dispatcher.hint();
    await turn();
    settled.length = 0;
    for (let second = 0; second < 4; second += 1) {
      clock.advance(1_000);
      await turn();
    }
    assert.equal(pool.held.length, 1, "the worker is still busy");
    assert.deepEqual(
      settled.map(({ outcome }) => outcome.kind),
      ["expired", "expired"],
    );
  });

  test("of a job that is being cancelled is settled, and not run", async (t) => {
    const lease = newLease({ isCancelling: true });
    const { dispatcher, settled, pool } = tryDispatcher(t, {
      store: { lease: async () => ({ leases: settled.length === 0 ? [lease] : [], nextDueAt: null }) },
    });
    await dispatcher.start();
    await turn();
    assert.deepEqual(
      settled.map(({ lease: { seq, isCancelling }, outcome }) => [seq, isCancelling, outcome.kind]),
      [[lease.seq, true, "released"]],
    );
    assert.equal(pool.held.length, 0);
  });
});

describe("held", () => {
  test("are the jobs that run and those that wait for a worker, until they are settled", async (t) => {
    const { dispatcher, put, pool } = tryDispatcher(t, { workers: 1 });
    await put(3);
    await dispatcher.start();
    await turn();
    assert.deepEqual(seqs(dispatcher.held()), [1]);
    pool.endAll(undefined, 5);
    await turn();
    assert.deepEqual(
      seqs(dispatcher.held()).toSorted((a, b) => a - b),
      [2, 3],
    );
    pool.endAll(undefined, 5);
    pool.endAll(undefined, 5);
    await turn();
    pool.endAll(undefined, 5);
    await turn();
    assert.deepEqual(dispatcher.held(), []);
  });
});

/** One job runs and one waits for a worker, both leased for a second. */
async function withOneInLine(t: Parameters<typeof tryDispatcher>[0]) {
  const opened = tryDispatcher(t, { workers: 1, leaseMs: 1_000 });
  const { dispatcher, put, pool, settled } = opened;
  await put(1);
  await dispatcher.start();
  await turn();
  pool.endAll(undefined, 5);
  await put(2);
  dispatcher.hint();
  await turn();
  const [waiting, runs] = dispatcher.held();
  assert.ok(waiting && runs);
  settled.length = 0;
  return { ...opened, waiting, runs };
}

describe("a job that waits for a worker", () => {
  test("counts as waiting until it begins, is cancelled or is dropped", async (t) => {
    const begins = await withOneInLine(t);
    assert.deepEqual([begins.dispatcher.waiting(), begins.backlog.queued("cpu")], [[begins.waiting], 1]);
    begins.pool.endAll(undefined, 5);
    await turn();
    assert.deepEqual([begins.dispatcher.waiting(), begins.backlog.queued("cpu")], [[], 0]);

    const isCancelled = await withOneInLine(t);
    isCancelled.dispatcher.cancel(isCancelled.waiting.seq);
    assert.equal(isCancelled.backlog.queued("cpu"), 0);
    const isDropped = await withOneInLine(t);
    isDropped.dispatcher.abandon(isDropped.waiting);
    assert.equal(isDropped.backlog.queued("cpu"), 0);
  });

  test("does not begin once its lease has ended: it is given back with its attempt", async (t) => {
    const { clock, pool, settled, waiting } = await withOneInLine(t);
    clock.advance(1_000);
    pool.endAll();
    await turn();
    assert.deepEqual(
      settled.filter(({ outcome }) => outcome.kind === "released").map(({ lease }) => lease),
      [waiting],
    );
  });

  test("begins at the latest a second after a worker became free without a word", async (t) => {
    const { clock, pool, dispatcher, leased, waiting } = await withOneInLine(t);
    const { free } = pool;
    pool.free = () => 0;
    pool.endAll(undefined, 500); // and nothing more is held ready
    await turn();
    pool.free = free;
    dispatcher.renewed(clock.monotonicMs() + 1);
    assert.deepEqual(leased(), []);
    clock.advance(1_000);
    await turn();
    assert.deepEqual(leased(), [waiting]);
  });

  test("begins when its lease was renewed meanwhile", async (t) => {
    const { clock, pool, dispatcher, leased, waiting } = await withOneInLine(t);
    dispatcher.renewed(clock.monotonicMs() + 500);
    clock.advance(1_000);
    pool.endAll();
    await turn();
    assert.deepEqual(leased().at(-1), waiting);
  });

  test("and that somebody else has now is dropped without a word; one that runs is told to stop by its fence", async (t) => {
    const { dispatcher, pool, settled, waiting, runs } = await withOneInLine(t);
    dispatcher.abandon(waiting);
    assert.deepEqual(dispatcher.held(), [runs]);
    dispatcher.abandon({ ...runs, fence: runs.fence + 1 });
    assert.deepEqual(pool.told, []);
    dispatcher.abandon(runs);
    assert.deepEqual([pool.told, settled], [[runs.seq], []]);
  });
});

describe("cancel", () => {
  test("of a job that runs is the pool's", async (t) => {
    const { dispatcher, put, pool, settled } = tryDispatcher(t);
    await put(1);
    await dispatcher.start();
    await turn();
    assert.equal(dispatcher.cancel(1), true);
    assert.deepEqual([pool.told, settled], [[1], []]);
    assert.equal(dispatcher.cancel(99), false);
  });

  test("of a job that waits for a worker settles it as CANCELLED, with no attempt, and it is not run", async (t) => {
    const { dispatcher, pool, store, waiting } = await withOneInLine(t);
    assert.equal(dispatcher.cancel(waiting.seq), true);
    await turn();
    assert.deepEqual(pool.told, []);
    pool.endAll();
    await turn();
    assert.equal(pool.held.length, 0);
    const { CANCELLED, SUCCEEDED } = (await store.counts()).pools[0] ?? {};
    assert.deepEqual([CANCELLED, SUCCEEDED], [1, 2]);
  });
});

describe("a cancel that comes before the lease's answer", () => {
  test("is not forgotten: the job is settled as CANCELLED, and not run", async (t) => {
    const { dispatcher, put, pool, store, holdAnswers } = tryDispatcher(t);
    await put(2);
    const release = holdAnswers();
    await dispatcher.start();
    assert.equal(dispatcher.cancel(1), false);
    release();
    await turn();
    await turn();
    assert.deepEqual(seqs(pool.held.flatMap(({ leases }) => leases)), [2]);
    assert.equal((await store.counts()).pools[0]?.CANCELLED, 1);
  });

  test("of a job that no lease brought does not stop a later attempt", async (t) => {
    const { dispatcher, put, leased, holdAnswers } = tryDispatcher(t);
    const release = holdAnswers();
    await dispatcher.start();
    dispatcher.cancel(1);
    release();
    await turn();
    await put(1);
    dispatcher.hint();
    await turn();
    assert.deepEqual(seqs(leased()), [1]);
  });
});

describe("jobs that the pool hands back before they began", () => {
  test("are the next to start, on another worker, before any that waits and without another lease", async (t) => {
    const { dispatcher, put, pool, asked, settled, backlog } = await withTinyJobs(t, 2);
    await put(10);
    dispatcher.hint();
    await turn();
    const [slow, other] = pool.held.map(({ leases }) => leases) as [readonly Lease[], readonly Lease[]];
    const before = asked.length;
    pool.held[0]?.releaseFrom(2);
    assert.deepEqual([dispatcher.running(), backlog.queued("cpu")], [6, 4]);
    assert.deepEqual(
      seqs(dispatcher.held()).toSorted((a, b) => a - b),
      seqs([...slow, ...other])
        .concat(409, 410)
        .toSorted((a, b) => a - b),
    );
    pool.held[1]?.end();
    await turn();
    assert.deepEqual(seqs(pool.held[1]?.leases.slice(0, 2) ?? []), seqs(slow.slice(2)));
    assert.equal(asked.length, before);
    pool.held[0]?.end();
    await turn();
    assert.deepEqual(seqs(settled.map(({ lease }) => lease)), seqs([...other, ...slow.slice(0, 2)]));
    await turn();
    pool.endAll();
    await turn();
    const all = seqs(settled.map(({ lease }) => lease));
    assert.deepEqual([all.length, new Set(all).size], [10, 10]);
    assert.equal(dispatcher.running(), 0);
  });

  test("are given back to the store when nothing is leased any more", async (t) => {
    const { dispatcher, put, pool, settled } = await withTinyJobs(t, 1);
    await put(4);
    dispatcher.hint();
    await turn();
    dispatcher.drain();
    pool.held[0]?.releaseFrom(1);
    assert.deepEqual(
      settled.map(({ outcome }) => outcome.kind),
      ["released", "released", "released"],
    );
    assert.equal(dispatcher.running(), 1);
  });
});

describe("a pool in trouble", () => {
  test("that rejects has lost the chunk, and the dispatcher goes on", async (t) => {
    const { dispatcher, put, pool, settled, lines } = tryDispatcher(t, { workers: 1 });
    const { run } = pool;
    pool.run = () => Promise.reject(new Error("no thread"));
    await put(1);
    await dispatcher.start();
    await turn();
    assert.deepEqual(
      settled.map(({ outcome }) => outcome),
      [{ kind: "lost", died: null }],
    );
    assert.equal(dispatcher.running(), 0);
    assert.deepEqual(
      lines.map(({ level, fields }) => [level, fields["error"]]),
      [["error", "no thread"]],
    );
    pool.run = run;
    await put(1);
    dispatcher.hint();
    await turn();
    assert.equal(pool.held.length, 1);
    await Promise.all([dispatcher.stop(), turn().then(() => pool.endAll())]);
  });

  test("whose threads do not start gets no job to lose, and all it can take within a second after they do", async (t) => {
    const { dispatcher, put, pool, clock, asked } = tryDispatcher(t, { workers: 4 });
    pool.canRun = () => false;
    await put(100);
    await dispatcher.start();
    for (let second = 1; second <= 3; second += 1) {
      dispatcher.hint();
      await turn();
      clock.advance(1_000);
    }
    assert.deepEqual(asked, []);
    pool.canRun = () => true;
    clock.advance(1_000);
    await turn();
    assert.equal(pool.held.length, 4);
  });
});

describe("drain", () => {
  test("leases nothing more and gives back what waits, while what runs goes on", async (t) => {
    const { dispatcher, put, pool, asked, settled, clock } = tryDispatcher(t, { workers: 1 });
    await put(5);
    await dispatcher.start();
    await turn();
    pool.endAll(undefined, 5);
    await turn();
    settled.length = 0;
    const before = asked.length;
    dispatcher.drain();
    dispatcher.drain();
    assert.deepEqual(
      settled.map(({ outcome }) => outcome.kind),
      ["released"],
    );
    dispatcher.hint();
    dispatcher.hintAt(t0);
    clock.advance(5_000);
    await turn();
    assert.deepEqual([pool.held.length, dispatcher.running(), asked.length], [1, 1, before]);
    pool.endAll();
    await turn();
    assert.equal(settled.at(-1)?.outcome.kind, "succeeded");
    assert.equal(asked.length, before);
    await dispatcher.stop();
  });
});
