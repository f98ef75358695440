import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { MillpondError, refusal } from "../../../src/errors.ts";
import { data, t0 } from "../../store/sample.ts";
import { tryDispatcher } from "./try-dispatcher.ts";

describe("leasing", () => {
  test("begins at the start with what is there, and follows hints", async (t) => {
    const { dispatcher, put, leased, backlog, rest } = tryDispatcher(t, { workers: 4 });
    await put(1);
    await dispatcher.start();
    await rest();
    assert.equal(leased().length, 1);
    assert.equal(dispatcher.running(), 1);
    assert.equal(backlog.queued("cpu"), 0);
    await put(1);
    dispatcher.hint();
    await rest();
    assert.equal(leased().length, 2);
  });

  test("does not begin before the start", async (t) => {
    const { dispatcher, put, asked, rest } = tryDispatcher(t);
    await put(1);
    dispatcher.hint();
    await rest();
    assert.deepEqual(asked, []);
  });

  test("fills every worker and no more, one job each while nothing is known of them", async (t) => {
    const { dispatcher, put, pool, rest } = tryDispatcher(t, { workers: 4 });
    await put(100);
    await dispatcher.start();
    await rest();
    assert.deepEqual(pool.sizes, [1, 1, 1, 1]);
    assert.equal(pool.free(), 0);
  });

  test("goes on by itself as workers become free, until nothing is left", async (t) => {
    const { dispatcher, put, pool, settled, store, rest } = tryDispatcher(t, { workers: 3 });
    await put(500);
    await dispatcher.start();
    for (let round = 0; settled.length < 500 && round < 2000; round += 1) {
      await rest();
      pool.held[0]?.end();
    }
    assert.equal(settled.length, 500);
    assert.equal(new Set(settled.map(({ lease }) => lease.id)).size, 500);
    assert.equal((await store.counts()).pools[0]?.SUCCEEDED, 500);
  });

  test("at most two leases are under way, and together they ask for no more workers than are free", async (t) => {
    const { dispatcher, put, asked, holdAnswers, pool, rest } = tryDispatcher(t, { workers: 5 });
    const release = holdAnswers();
    await put(100);
    await dispatcher.start();
    for (let hints = 0; hints < 10; hints += 1) dispatcher.hint();
    assert.deepEqual(
      asked.map(({ limit }) => limit),
      [3, 2],
    );
    release();
    await rest();
    assert.equal(pool.most(), 5);
  });

  test("a hint that comes while a lease is under way is not forgotten", async (t) => {
    const { dispatcher, put, asked, holdAnswers, leased, rest } = tryDispatcher(t, { workers: 1 });
    const release = holdAnswers();
    await dispatcher.start();
    assert.equal(asked.length, 1);
    await put(1);
    dispatcher.hint(); // the only worker is promised to the lease under way
    assert.equal(asked.length, 1);
    release();
    await rest();
    assert.equal(leased().length, 1);
  });

  test("without a hint it looks once a second", async (t) => {
    const { dispatcher, put, leased, clock, rest } = tryDispatcher(t);
    await dispatcher.start();
    await rest();
    await put(1);
    clock.advance(999);
    await rest();
    assert.equal(leased().length, 0);
    clock.advance(1);
    await rest();
    assert.equal(leased().length, 1);
  });

  test("stops while outcomes pile up, and goes on with the next hint", async (t) => {
    let isBehind = true;
    const { dispatcher, put, asked, leased, rest } = tryDispatcher(t, { isBehind: () => isBehind });
    await put(1);
    await dispatcher.start();
    assert.deepEqual(asked, []);
    isBehind = false;
    dispatcher.hint();
    await rest();
    assert.equal(leased().length, 1);
  });
});

describe("chunks", () => {
  test("grow with jobs that prove to be tiny, up to the bound", async (t) => {
    const { dispatcher, put, pool, settled, rest } = tryDispatcher(t, { maxChunk: 16 });
    await put(2000);
    await dispatcher.start();
    for (let round = 0; settled.length < 2000 && round < 3000; round += 1) {
      await rest();
      pool.endAll(undefined, 0.01);
    }
    assert.equal(settled.length, 2000);
    assert.equal(Math.max(...pool.sizes), 16);
  });

  test("are one job each where jobs are long", async (t) => {
    const { dispatcher, put, pool, settled, rest } = tryDispatcher(t);
    await put(50);
    await dispatcher.start();
    for (let round = 0; settled.length < 50 && round < 200; round += 1) {
      await rest();
      pool.endAll(undefined, 30);
    }
    assert.ok(pool.sizes.every((size) => size === 1));
  });

  test("share what came among the workers that were asked for", async (t) => {
    const { dispatcher, put, pool, settled, rest } = tryDispatcher(t, { workers: 4, maxChunk: 8 });
    await put(400);
    await dispatcher.start();
    for (let round = 0; settled.length < 400 && round < 1000; round += 1) {
      await rest();
      pool.endAll(undefined, 0.01);
    }
    await put(100);
    pool.sizes.length = 0;
    dispatcher.hint();
    await rest();
    assert.deepEqual(pool.sizes, [8, 8, 8, 8]);
  });
});

describe("jobs held ready", () => {
  test("are one chunk beyond the busy workers while jobs are quick, and start as soon as one is free", async (t) => {
    const { dispatcher, put, pool, store, rest } = tryDispatcher(t, { workers: 2 });
    await put(10);
    await dispatcher.start();
    await rest();
    pool.endAll(undefined, 5);
    await rest();
    assert.equal(pool.held.length, 2);
    assert.equal((await store.counts()).pools[0]?.RUNNING, 3);
    pool.held[0]?.end();
    await rest();
    assert.equal(pool.held.length, 2);
    assert.equal((await store.counts()).pools[0]?.RUNNING, 3);
  });

  test("are what the workers use up while leases are under way", async (t) => {
    const opened = tryDispatcher(t, {
      workers: 2,
      store: {
        async lease(request) {
          const answer = await opened.store.lease(request);
          opened.clock.advance(4);
          return answer;
        },
      },
    });
    const { dispatcher, put, pool, rest } = opened;
    await put(100);
    await dispatcher.start();
    await rest();
    for (const tookMs of [5, 1]) {
      pool.endAll(undefined, tookMs);
      for (let leases = 0; leases < 10; leases += 1) await rest();
    }
    // a lease takes 4 ms, a job 3 on average, and what is ready has to last for two leases
    assert.equal(dispatcher.held().length - dispatcher.running(), 5);
  });

  test("are no more than some megabytes, however quick the jobs are", async (t) => {
    const opened = tryDispatcher(t, {
      workers: 2,
      store: {
        async lease(request) {
          const answer = await opened.store.lease(request);
          opened.clock.advance(50);
          return answer;
        },
      },
    });
    const { dispatcher, put, pool, rest, settled } = opened;
    const mebibyte = 2 ** 20;
    await put(20);
    await dispatcher.start();
    for (await rest(); settled.length < 20; await rest()) pool.endAll(undefined, 0.1);
    await put(100, { input: data(mebibyte) });
    dispatcher.hint();
    await rest();
    const waiting = dispatcher.waiting().length;
    assert.ok(waiting >= 32 && waiting <= 49, `${waiting} MiB`);
    for (; settled.length < 120; await rest()) pool.endAll(undefined, 0.1);
  });

  test("are none while jobs are slow", async (t) => {
    const { dispatcher, put, pool, store, rest } = tryDispatcher(t, { workers: 2 });
    await put(10);
    await dispatcher.start();
    await rest();
    pool.endAll(undefined, 500);
    await rest();
    assert.equal(pool.held.length, 2);
    assert.equal((await store.counts()).pools[0]?.RUNNING, 2);
  });
});

describe("jobs for later", () => {
  test("are looked at when they become due", async (t) => {
    const { dispatcher, put, leased, clock, rest } = tryDispatcher(t);
    await put(1, { runAt: t0 + 300 });
    await dispatcher.start();
    await rest();
    clock.advance(299);
    await rest();
    assert.equal(leased().length, 0);
    clock.advance(1);
    await rest();
    assert.equal(leased().length, 1);
  });

  test("that the settler tells of replace a later look, not an earlier one", async (t) => {
    const { dispatcher, put, asked, clock, leased, rest } = tryDispatcher(t);
    await put(1, { runAt: t0 + 500 });
    await dispatcher.start();
    await rest();
    dispatcher.hintAt(t0 + 200);
    dispatcher.hintAt(t0 + 800);
    const before = asked.length;
    clock.advance(200);
    await rest();
    assert.equal(asked.length, before + 1);
    assert.equal(leased().length, 0);
    clock.advance(300);
    await rest();
    assert.equal(leased().length, 1);
  });

  test("leave one timer, however many there are", async (t) => {
    const { dispatcher, put, clock, rest } = tryDispatcher(t);
    for (let ms = 100; ms < 900; ms += 50) await put(1, { runAt: t0 + ms });
    await dispatcher.start();
    await rest();
    for (let ms = 900; ms > 100; ms -= 50) dispatcher.hintAt(t0 + ms);
    assert.equal(clock.timers(), 1);
  });
});

describe("a task that is gone", () => {
  test("its job is handed over as failed for good, and takes no worker from the others", async (t) => {
    const { dispatcher, put, settled, leased, store, rest } = tryDispatcher(t, { hasTask: (task) => task !== "gone" });
    await put(1, { task: "gone" });
    await put(1);
    await dispatcher.start();
    await rest();
    assert.deepEqual(
      leased().map(({ task }) => task),
      ["echo"],
    );
    const [{ outcome } = {}] = settled;
    assert.ok(outcome?.kind === "failed");
    assert.equal(outcome.failure.reason, "unknown_task");
    assert.match(outcome.failure.message, /pool "cpu" has no task "gone" any more/);
    assert.equal((await store.counts()).pools[0]?.DEAD, 1);
  });
});

describe("stop", () => {
  test("leases nothing more, and resolves when what runs has ended", async (t) => {
    const { dispatcher, put, pool, asked, clock, rest } = tryDispatcher(t);
    await put(10);
    await dispatcher.start();
    await rest();
    const before = asked.length;
    let isStopped = false;
    const stopped = dispatcher.stop().then(() => {
      isStopped = true;
    });
    dispatcher.hint();
    clock.advance(5000);
    pool.held[0]?.end();
    await rest();
    assert.equal(isStopped, false);
    assert.equal(asked.length, before);
    pool.held[0]?.end();
    await stopped;
    assert.equal(asked.length, before);
    assert.equal(dispatcher.running(), 0);
    assert.equal(clock.timers(), 0);
  });

  test("waits for a lease that is under way, and gives its jobs back unstarted", async (t) => {
    const { dispatcher, put, pool, holdAnswers, settled } = tryDispatcher(t);
    const release = holdAnswers();
    await put(1);
    await dispatcher.start();
    const stopped = dispatcher.stop();
    release();
    await stopped;
    assert.equal(pool.held.length, 0);
    assert.deepEqual(
      settled.map(({ outcome }) => outcome.kind),
      ["released"],
    );
  });

  test("gives back the jobs that were held ready", async (t) => {
    const { dispatcher, put, pool, settled, rest } = tryDispatcher(t, { workers: 1 });
    await put(3);
    await dispatcher.start();
    await rest();
    pool.endAll(undefined, 5); // now that jobs are known to be quick, one is held ready
    await rest();
    const stopped = dispatcher.stop();
    pool.endAll();
    await stopped;
    const kinds = settled.map(({ outcome }) => outcome.kind).toSorted();
    assert.deepEqual(kinds, ["released", "succeeded", "succeeded"]);
  });

  test("of what was never started, and twice, resolves", async (t) => {
    const { dispatcher } = tryDispatcher(t);
    await Promise.all([dispatcher.stop(), dispatcher.stop()]);
  });
});

test("a store that is unavailable is asked again until it answers, and hints do not wait for that", async (t) => {
  let isAway = true;
  const { dispatcher, errors, clock, put, leased, store, asked, rest } = tryDispatcher(t, {
    store: {
      lease(request) {
        asked.push(request);
        return isAway ? Promise.reject(refusal("store_unavailable", ["gone", 1], {})) : store.lease(request);
      },
    },
  });
  await put(1);
  await dispatcher.start();
  await rest();
  for (let polls = 0; polls < 3; polls += 1) {
    clock.advance(1_000);
    await rest();
  }
  assert.deepEqual([asked.length, errors.length], [4, 4]);
  isAway = false;
  dispatcher.hint();
  await rest();
  assert.equal(leased().length, 1);
});

test("a store that fails is reported once, and nothing more is leased", async (t) => {
  let asked = 0;
  const lease = () => {
    asked += 1;
    return Promise.reject(refusal("store_failed", ["gone"]));
  };
  const { dispatcher, errors, clock, rest } = tryDispatcher(t, { store: { lease } });
  await dispatcher.start();
  await rest();
  dispatcher.hint();
  clock.advance(10_000);
  assert.equal(asked, 1);
  assert.equal(errors.length, 1);
  assert.ok(errors[0] instanceof MillpondError);
});
