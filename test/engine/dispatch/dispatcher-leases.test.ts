/** What the dispatcher does with leases that need not, or may not, be run, and with those it is handed back. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Lease } from "../../../src/job/job.ts";
import { createSignal, type Signal } from "../../../src/lifecycle.ts";
import type { Leased } from "../../../src/store/store.ts";
import { turn } from "../../support/fake-clock.ts";
import { newLease } from "../../support/samples.ts";
import { t0 } from "../../store/sample.ts";
import type { HeldChunk } from "../../pool/fake-pool.ts";
import { tryDispatcher } from "./try-dispatcher.ts";

const seqs = (leases: readonly Lease[]) => leases.map(({ seq }) => seq);

/** A dispatcher that knows its jobs to be tiny, so that it makes chunks of several. */
async function withTinyJobs(t: Parameters<typeof tryDispatcher>[0], workers: number) {
  const opened = tryDispatcher(t, { workers, maxChunk: 4 });
  const { dispatcher, put, pool, settled, rest } = opened;
  await put(400);
  await dispatcher.start();
  for (await rest(); pool.held.length > 0; await rest()) pool.endAll();
  assert.equal(settled.length, 400);
  settled.length = 0;
  return opened;
}

describe("a lease", () => {
  test("is asked for by this process, for leaseMs", async (t) => {
    const { dispatcher, asked, clock, rest } = tryDispatcher(t, { leaseMs: 5_000 });
    await dispatcher.start();
    await rest();
    clock.advance(1_000);
    assert.deepEqual(
      asked.map(({ owner, now, leaseMs }) => [owner, now, leaseMs]),
      [0, 1_000].map((ms) => ["boot", t0 + ms, 5_000]),
    );
  });

  test("of a job whose deadline passed is settled as expired, without a worker and without an attempt", async (t) => {
    const { dispatcher, put, leased, settled, store, clock, rest } = tryDispatcher(t, { workers: 1 });
    await put(1, { expiresAt: t0 + 1 });
    await put(1, { expiresAt: t0 + 2 });
    clock.advance(1);
    await dispatcher.start();
    await rest();
    assert.deepEqual(
      settled.map(({ outcome }) => outcome),
      [{ kind: "expired", hasStarted: false }],
    );
    assert.equal(leased().length, 1);
    assert.equal((await store.counts()).pools[0]?.DEAD, 1);
  });

  test("whose deadline passes while it waits for a worker is not started any more", async (t) => {
    const { dispatcher, put, pool, clock, settled, rest } = tryDispatcher(t, { workers: 1 });
    await put(1);
    await dispatcher.start();
    await rest();
    pool.endAll(undefined, 5);
    await put(2, { expiresAt: t0 + 100 });
    dispatcher.hint();
    await rest();
    assert.equal(dispatcher.held().length, 2, "one runs, one waits");
    settled.length = 0;
    clock.advance(100);
    pool.endAll();
    await rest();
    assert.deepEqual(
      settled.map(({ outcome }) => outcome.kind),
      ["succeeded", "expired"],
    );
    assert.equal(pool.held.length, 0);
  });

  test("whose deadline passes while it waits for a worker is settled within a second, however long that is busy", async (t) => {
    const { dispatcher, put, pool, clock, settled, rest } = tryDispatcher(t, { workers: 1 });
    await put(1);
    await dispatcher.start();
    await rest();
    pool.endAll(undefined, 5);
    await put(1);
    await put(2, { expiresAt: t0 + 2_500 });
    dispatcher.hint();
    await rest();
    settled.length = 0;
    for (let second = 0; second < 4; second += 1) {
      clock.advance(1_000);
      await rest();
    }
    assert.equal(pool.held.length, 1, "the worker is still busy");
    assert.deepEqual(
      settled.map(({ outcome }) => outcome.kind),
      ["expired", "expired"],
    );
  });

  test("of a job that is being cancelled is settled, and not run", async (t) => {
    const lease = newLease({ isCancelling: true });
    const { dispatcher, settled, pool, rest } = tryDispatcher(t, {
      store: { lease: async () => ({ leases: settled.length === 0 ? [lease] : [], nextDueAt: null }) },
    });
    await dispatcher.start();
    await rest();
    assert.deepEqual(
      settled.map(({ lease: { seq, isCancelling }, outcome }) => [seq, isCancelling, outcome.kind]),
      [[lease.seq, true, "released"]],
    );
    assert.equal(pool.held.length, 0);
  });
});

describe("held", () => {
  test("are the jobs that run and those that wait for a worker, until they are settled", async (t) => {
    const { dispatcher, put, pool, rest } = tryDispatcher(t, { workers: 1 });
    await put(3);
    await dispatcher.start();
    await rest();
    assert.deepEqual(seqs(dispatcher.held()), [1]);
    pool.endAll(undefined, 5);
    await rest();
    assert.deepEqual(
      seqs(dispatcher.held()).toSorted((a, b) => a - b),
      [2, 3],
    );
    pool.endAll(undefined, 5);
    pool.endAll(undefined, 5);
    await rest();
    pool.endAll(undefined, 5);
    await rest();
    assert.deepEqual(dispatcher.held(), []);
  });
});

/** One job runs and one waits for a worker, both leased for a second. */
async function withOneInLine(t: Parameters<typeof tryDispatcher>[0]) {
  const opened = tryDispatcher(t, { workers: 1, leaseMs: 1_000 });
  const { dispatcher, put, pool, settled, rest } = opened;
  await put(1);
  await dispatcher.start();
  await rest();
  pool.endAll(undefined, 5);
  await put(2);
  dispatcher.hint();
  await rest();
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
    await begins.rest();
    assert.deepEqual([begins.dispatcher.waiting(), begins.backlog.queued("cpu")], [[], 0]);

    const isCancelled = await withOneInLine(t);
    isCancelled.dispatcher.cancel(isCancelled.waiting.seq);
    assert.equal(isCancelled.backlog.queued("cpu"), 0);
    const isDropped = await withOneInLine(t);
    isDropped.dispatcher.abandon(isDropped.waiting);
    assert.equal(isDropped.backlog.queued("cpu"), 0);
  });

  test("does not begin once its lease has ended: it is given back with its attempt", async (t) => {
    const { clock, pool, settled, waiting, rest } = await withOneInLine(t);
    clock.advance(1_000);
    pool.endAll();
    await rest();
    assert.deepEqual(
      settled.filter(({ outcome }) => outcome.kind === "released").map(({ lease }) => lease),
      [waiting],
    );
  });

  test("begins at the latest a second after a worker became free without a word", async (t) => {
    const { clock, pool, dispatcher, leased, waiting, rest } = await withOneInLine(t);
    const { free } = pool;
    pool.free = () => 0;
    pool.endAll(undefined, 500); // and nothing more is held ready
    await rest();
    pool.free = free;
    dispatcher.renewed(clock.monotonicMs() + 1);
    assert.deepEqual(leased(), []);
    clock.advance(1_000);
    await rest();
    assert.deepEqual(leased(), [waiting]);
  });

  test("begins when its lease was renewed meanwhile", async (t) => {
    const { clock, pool, dispatcher, leased, waiting, rest } = await withOneInLine(t);
    dispatcher.renewed(clock.monotonicMs() + 500);
    clock.advance(1_000);
    pool.endAll();
    await rest();
    assert.deepEqual(leased().at(-1), waiting);
  });

  test("and that somebody else has now is dropped without a word; one that runs is asked to stop by its fence", async (t) => {
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
    const { dispatcher, put, pool, settled, rest } = tryDispatcher(t);
    await put(1);
    await dispatcher.start();
    await rest();
    assert.equal(dispatcher.cancel(1), true);
    assert.deepEqual([pool.told, settled], [[1], []]);
    assert.equal(dispatcher.cancel(99), false);
  });

  test("of a job that waits for a worker settles it as CANCELLED, with no attempt, and it is not run", async (t) => {
    const { dispatcher, pool, store, waiting, rest } = await withOneInLine(t);
    assert.equal(dispatcher.cancel(waiting.seq), true);
    await rest();
    assert.deepEqual(pool.told, []);
    pool.endAll();
    await rest();
    assert.equal(pool.held.length, 0);
    const { CANCELLED, SUCCEEDED } = (await store.counts()).pools[0] ?? {};
    assert.deepEqual([CANCELLED, SUCCEEDED], [1, 2]);
  });
});

describe("a cancel that comes before the lease's answer", () => {
  test("is not forgotten: the job is settled as CANCELLED, and not run", async (t) => {
    const { dispatcher, put, pool, store, holdAnswers, rest } = tryDispatcher(t);
    await put(2);
    const release = holdAnswers();
    await dispatcher.start();
    assert.equal(dispatcher.cancel(1), false);
    release();
    await rest();
    assert.deepEqual(seqs(pool.held.flatMap(({ leases }) => leases)), [2]);
    assert.equal((await store.counts()).pools[0]?.CANCELLED, 1);
  });

  test("of a job that no lease brought does not stop a later attempt", async (t) => {
    const { dispatcher, put, leased, holdAnswers, rest } = tryDispatcher(t);
    const release = holdAnswers();
    await dispatcher.start();
    dispatcher.cancel(1);
    release();
    await rest();
    await put(1);
    dispatcher.hint();
    await rest();
    assert.deepEqual(seqs(leased()), [1]);
  });

  test("does not stop a later attempt either while there is always another lease under way", async (t) => {
    const asked: Signal<Leased>[] = [];
    const lease = () => {
      asked.push(createSignal<Leased>());
      return asked.at(-1)!.promise;
    };
    const { dispatcher, leased } = tryDispatcher(t, { workers: 4, store: { lease } });
    const again = newLease();
    await dispatcher.start();
    dispatcher.cancel(again.seq);
    for (const leases of [[], [], [again], []]) {
      dispatcher.hint(); // another lease is asked for, before the oldest is answered
      asked.shift()!.fire({ leases, nextDueAt: null });
      await turn();
    }
    asked.shift()!.fire({ leases: [], nextDueAt: null });
    assert.deepEqual([asked.length, seqs(leased())], [0, [again.seq]]);
  });
});

describe("jobs that the pool hands back before they began", () => {
  test("are the next to start, on another worker, before any that waits and without another lease", async (t) => {
    const { dispatcher, put, pool, asked, settled, backlog, rest } = await withTinyJobs(t, 2);
    await put(10);
    dispatcher.hint();
    await rest();
    const [slow, other] = pool.held as [HeldChunk, HeldChunk];
    const handedBack = slow.leases.slice(2);
    const leasesBefore = asked.length;
    assert.ok(handedBack.length > 0 && dispatcher.waiting().length > 0);

    slow.releaseFrom(2);
    const running = 2 + other.leases.length;
    assert.deepEqual([dispatcher.running(), backlog.queued("cpu")], [running, 10 - running]);
    assert.equal(dispatcher.held().length, 10, "none is forgotten");
    other.end();
    await rest();

    const next = pool.held.find((chunk) => chunk !== slow);
    assert.deepEqual(next?.leases.slice(0, handedBack.length), handedBack);
    assert.equal(asked.length, leasesBefore);
    for (; pool.held.length > 0; await rest()) pool.endAll();
    const all = seqs(settled.map(({ lease }) => lease));
    assert.deepEqual([all.length, new Set(all).size], [10, 10]);
    assert.equal(dispatcher.running(), 0);
  });

  test("are given back to the store when nothing is leased any more", async (t) => {
    const { dispatcher, put, pool, settled, rest } = await withTinyJobs(t, 1);
    await put(4);
    dispatcher.hint();
    await rest();
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
    const { dispatcher, put, pool, settled, lines, rest } = tryDispatcher(t, { workers: 1 });
    const { run } = pool;
    pool.run = () => Promise.reject(new Error("no thread"));
    await put(1);
    await dispatcher.start();
    await rest();
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
    await rest();
    assert.equal(pool.held.length, 1);
    await Promise.all([dispatcher.stop(), rest().then(() => pool.endAll())]);
  });

  test("whose threads do not start gets no job to lose, and all it can take within a second after they do", async (t) => {
    const { dispatcher, put, pool, clock, asked, rest } = tryDispatcher(t, { workers: 4 });
    pool.canRun = () => false;
    await put(100);
    await dispatcher.start();
    for (let second = 1; second <= 3; second += 1) {
      dispatcher.hint();
      await rest();
      clock.advance(1_000);
    }
    assert.deepEqual(asked, []);
    pool.canRun = () => true;
    clock.advance(1_000);
    await rest();
    assert.equal(pool.held.length, 4);
  });
});

describe("drain", () => {
  test("leases nothing more and gives back what waits, while what runs goes on", async (t) => {
    const { dispatcher, put, pool, asked, settled, clock, rest } = tryDispatcher(t, { workers: 1 });
    await put(5);
    await dispatcher.start();
    await rest();
    pool.endAll(undefined, 5);
    await rest();
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
    await rest();
    assert.deepEqual([pool.held.length, dispatcher.running(), asked.length], [1, 1, before]);
    pool.endAll();
    await rest();
    assert.equal(settled.at(-1)?.outcome.kind, "succeeded");
    assert.equal(asked.length, before);
    await dispatcher.stop();
  });
});
