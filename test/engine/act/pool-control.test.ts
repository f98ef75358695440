import assert from "node:assert/strict";
import { describe, test, type TestContext } from "node:test";
import { createPoolControl } from "../../../src/engine/act/pool-control.ts";
import type { MillpondError } from "../../../src/errors.ts";
import { createMemoryStore } from "../../../src/store/memory.ts";
import type { Store } from "../../../src/store/store.ts";
import { createFakePool } from "../../pool/fake-pool.ts";
import { leaseAll, newJobs, settlement, submit, t0 } from "../../store/sample.ts";
import { createFakeClock } from "../../support/fake-clock.ts";
import { keptLog } from "../../support/samples.ts";
import { draft } from "../admit/try-admission.ts";
import { follow, openFakeEngine, pass, settle } from "../fake-engine.ts";

const pause = { by: "ops", at: t0 };

function open(store: Store = createMemoryStore(), configured = { min: 1, max: 4 }, room = 1_000) {
  const { log, lines } = keptLog();
  const calls: string[] = [];
  const control = createPoolControl({
    ...{ store, log, clock: createFakeClock(t0), minimaRoom: () => ({ workers: room, why: "memory is short" }) },
    pools: ["cpu", "mail"].map((name) => {
      let bounds = configured;
      return {
        ...{ name, configured, mostWorkers: 128, bounds: () => bounds },
        setPaused: (isPaused) => void calls.push(`${name} ${isPaused ? "paused" : "resumed"}`),
        resize(next) {
          bounds = next;
          calls.push(`${name} ${next.min}-${next.max}`);
        },
      };
    }),
  });
  return { store, control, calls, lines };
}

describe("the control of pools", () => {
  test("pauses and resumes once, and says of the second time what was there", async () => {
    const { control, calls } = open();
    assert.equal((await control.pause("mail", "ops")).before.pause, null);
    const again = await control.pause("mail", "someone else");
    assert.deepEqual([again.before.pause, again.after.pause], [pause, pause]);
    assert.deepEqual(control.paused(), [{ pool: "mail", by: "ops", since: new Date(t0).toISOString() }]);
    assert.deepEqual((await control.resume("mail", "ops")).before.pause, pause);
    assert.equal((await control.resume("mail", "ops")).before.pause, null);
    assert.deepEqual(calls, ["mail paused", "mail resumed"]);
    assert.deepEqual(control.paused(), []);
  });

  test("refuses a pool that is not configured, with those there are and the nearest name", async () => {
    const { control, store } = open();
    for (const refused of [control.pause("mial", "ops"), control.resume("mial", "ops")]) {
      await assert.rejects(refused, (error: MillpondError) => {
        assert.equal(error.reason, "unknown_pool");
        assert.equal(error.message, 'no pool is named "mial"; there are: cpu, mail: did you mean "mail"?');
        assert.deepEqual(error.violations, [
          { field: "pool", description: 'is no pool of this server: did you mean "mail"?' },
        ]);
        return true;
      });
    }
    await assert.rejects(control.pause("x".repeat(1_000), "ops"), (error: MillpondError) => error.message.length < 200);
    assert.equal((await store.overrides()).size, 0);
  });

  test("applies at the start what the store has, and says so in the log, also of pools that are not configured", async () => {
    const store = createMemoryStore();
    for (const pool of ["cpu", "gone"]) await store.override({ pool, pause });
    const { control, calls, lines } = open(store);
    await control.load();
    await control.load();
    assert.deepEqual(calls, ["cpu paused"]);
    const since = new Date(t0).toISOString();
    assert.deepEqual(lines, [
      { level: "warn", fields: { pool: "cpu", by: "ops", since }, text: "the pool is paused: its jobs wait" },
      {
        ...{ level: "warn", fields: { pool: "gone" } },
        text: "a pool is paused or resized and not configured: that applies when it is configured again",
      },
    ]);
  });

  test("follows what another server did, and a change of its own is not undone by what was read before it", async () => {
    const store = createMemoryStore();
    const { control, calls } = open(store);
    await store.override({ pool: "cpu", pause });
    await control.load();
    await store.override({ pool: "cpu", pause: null });
    await control.load();
    assert.deepEqual(calls.splice(0), ["cpu paused", "cpu resumed"]);

    let answer = () => {};
    const late = open({
      ...store,
      overrides: async () => {
        const read = await store.overrides();
        await new Promise<void>((resolve) => (answer = resolve));
        return read;
      },
    });
    const loading = late.control.load();
    await settle();
    await late.control.pause("cpu", "ops");
    answer();
    await loading;
    assert.deepEqual(late.calls, ["cpu paused"]);
  });
});

describe("a resize", () => {
  test("applies what is given, keeps the rest, and is taken back by a reset", async () => {
    const { control, calls, store } = open();
    assert.deepEqual(await control.resize("cpu", { max: 9 }, "ops"), {
      ...{ isChanged: true, before: { min: 1, max: 4 }, after: { min: 1, max: 9 } },
      resize: { min: 1, max: 9, by: "ops", at: t0, configured: { min: 1, max: 4 } },
    });
    assert.deepEqual((await control.resize("cpu", { min: 0 }, "ops")).after, { min: 0, max: 9 });
    const reset = await control.resize("cpu", null, "ops");
    assert.deepEqual([reset.after, reset.resize], [{ min: 1, max: 4 }, null]);
    assert.deepEqual(calls, ["cpu 1-9", "cpu 0-9", "cpu 1-4"]);
    assert.equal((await store.overrides()).size, 0);
  });

  test("to what is in force changes nothing, and keeps who did it first", async () => {
    const { control, calls } = open();
    assert.equal((await control.resize("cpu", { min: 1, max: 4 }, "ops")).resize, null);
    assert.equal((await control.resize("cpu", null, "ops")).resize, null);
    const { resize } = await control.resize("cpu", { max: 9 }, "ops");
    assert.equal((await control.resize("cpu", { max: 9 }, "someone else")).resize, resize);
    assert.deepEqual(calls, ["cpu 1-9"]);
  });

  test("holds after a restart, and the log says so, and that it was under another configuration", async () => {
    const store = createMemoryStore();
    await open(store).control.resize("cpu", { max: 9 }, "ops");
    const { control, calls, lines } = open(store, { min: 2, max: 6 });
    await control.load();
    await control.load();
    assert.deepEqual(calls, ["cpu 1-9"]);
    const configured = { min: 2, max: 6 };
    const since = new Date(t0).toISOString();
    assert.deepEqual(lines, [
      {
        ...{ level: "warn", fields: { pool: "cpu", min: 1, max: 9, by: "ops", since, configured } },
        text: "the pool is resized: its configuration's workers do not apply",
      },
      {
        ...{ level: "warn", fields: { pool: "cpu", configured, before: { min: 1, max: 4 } } },
        text: "the pool was resized under another configuration than this one, which does not apply until a reset",
      },
    ]);
    assert.deepEqual((await control.resize("cpu", null, "ops")).after, configured, "that of today");
  });

  test("of one bound keeps what another changed at the same time, on this server or on one that has not seen it yet", async () => {
    const store = createMemoryStore();
    const { control, calls } = open(store);
    await Promise.all([control.resize("cpu", { min: 2 }, "ops"), control.resize("cpu", { max: 16 }, "else")]);
    assert.deepEqual(calls, ["cpu 2-4", "cpu 2-16"]);
    const other = open(store).control;
    const { isChanged, before, after } = await other.resize("cpu", { max: 4 }, "ops");
    assert.deepEqual([isChanged, before, after], [true, { min: 2, max: 16 }, { min: 2, max: 4 }]);
    await control.resize("cpu", { min: 3 }, "ops");
    await assert.rejects(other.resize("cpu", { max: 2 }, "ops"), {
      violations: [{ field: "max_workers", description: "is 2 and must be at least min_workers, which is 3" }],
    });
    assert.deepEqual(other.overrides("cpu").resize?.max, 4);
  });

  test("beyond what the pool's concurrency or the memory allows is refused, with how many fit", async () => {
    const { control, calls, store } = open(undefined, { min: 1, max: 4 }, 5);
    const refused = (bounds: object, field: string, says: string) =>
      assert.rejects(control.resize("cpu", bounds, "ops"), { violations: [{ field, description: says }] });
    await refused({ max: 129 }, "max_workers", "is 129 and must be 1 to 128");
    await refused({ min: 5, max: 5 }, "min_workers", "is 5 and must be 0 to 4: memory is short");
    assert.deepEqual([calls, await store.overrides()], [[], new Map()]);
    await control.resize("cpu", { min: 4 }, "ops");
    await assert.rejects(control.resize("mail", { min: 2 }, "ops"), /must be 0 to 1/);
    await control.resize("cpu", { min: 3 }, "ops");
    await control.resize("mail", { min: 2 }, "ops");
    assert.deepEqual(calls, ["cpu 4-4", "cpu 3-4", "mail 2-4"]);
  });

  test("from another server or an earlier start, beyond the memory here, is cut to what fits, and the log says so", async () => {
    const store = createMemoryStore();
    await open(store).control.resize("cpu", { min: 100, max: 100 }, "ops");
    const { control, calls, lines } = open(store, undefined, 5);
    await control.load();
    await control.load();
    assert.deepEqual(calls, ["cpu 4-100"]);
    const fields = { pool: "cpu", min: 100, fits: 4, why: "memory is short" };
    assert.deepEqual(lines.at(-1), {
      ...{ level: "warn", fields, text: "the pool keeps fewer workers than it was resized to" },
    });
    await control.resize("cpu", { min: 1 }, "ops");
    assert.equal(calls.at(-1), "cpu 1-100");
  });

  test("reaches the workers of an engine while it runs, more at once and fewer as they become idle", async (t) => {
    const { engine, pool, clock, admit, running } = await openPaused(t);
    await engine.poolControl.resume("cpu", "ops");
    await admit(...Array.from({ length: 6 }, () => draft()));
    await settle();
    assert.equal(running().length, 2);
    await engine.poolControl.resize("cpu", { max: 4 }, "ops");
    await pass(clock, 5_000);
    assert.equal(running().length, 4, "the autoscaler follows");
    await engine.poolControl.resize("cpu", { min: 0, max: 1 }, "ops");
    await settle();
    assert.equal(running().length, 4, "what runs goes on");
    pool.endAll();
    await pass(clock, 200);
    assert.equal(running().length, 1);
    const { minWorkers, maxWorkers, resize } = engine.numbers.pools()[0]!;
    assert.deepEqual([minWorkers, maxWorkers, resize?.by], [0, 1, "ops"]);
  });
});

/** An engine whose pool `cpu` is paused. */
async function openPaused(t: TestContext, store: Store = createMemoryStore()) {
  const opened = openFakeEngine({ store, clock: createFakeClock(t0), workers: 2 });
  const { engine, pool, clock } = opened;
  await engine.recover();
  await engine.start();
  t.after(async () => {
    engine.readers.closeAll();
    const stopped = engine.stop();
    for (let rounds = 0; rounds < 5; rounds += 1) {
      pool.endAll();
      await pass(clock, 1_000);
    }
    await stopped;
  });
  await engine.poolControl.pause("cpu", "ops");
  const admit = async (...drafts: ReturnType<typeof draft>[]) => {
    const admitted = await engine.admission.admit("ada", drafts);
    return admitted.map((each) => (each.kind === "refused" ? each.error.reason : each.id));
  };
  return {
    ...{ ...opened, store, admit },
    running: () => pool.held.flatMap(({ leases }) => leases.map(({ id }) => id)),
    stateOf: async (id: string) => (await store.get({ client: "ada", id }))?.state,
  };
}

describe("jobs of a paused pool", () => {
  test("are accepted, wait, and start at once when it is resumed", async (t) => {
    const { engine, clock, admit, running } = await openPaused(t);
    const [id] = await admit(draft());
    await pass(clock, 60_000);
    assert.deepEqual(running(), []);
    assert.equal(engine.backlog.queued("cpu"), 1);
    await engine.poolControl.resume("cpu", "ops");
    await settle();
    assert.deepEqual(running(), [id], "without a poll");
  });

  test("stay paused in an engine that is started on the store of one that was killed", async (t) => {
    const { store, admit } = await openPaused(t);
    const [id] = await admit(draft());
    const next = openFakeEngine({ store, clock: createFakeClock(t0), owner: "next" });
    await next.engine.recover();
    await next.engine.start();
    await pass(next.clock, 3_000);
    assert.deepEqual(next.pool.held, []);
    assert.equal((await next.engine.explain("ada", id!))?.cause, "paused");
    assert.equal(next.engine.numbers.pools()[0]?.pause?.by, "ops");
    await next.engine.stop();
  });

  test("are cancelled at once, expire at their deadline, and become due in their time without starting", async (t) => {
    const { engine, clock, admit, running, stateOf } = await openPaused(t);
    const reader = await follow(engine);
    const [cancelled, expires, later] = await admit(
      draft(),
      draft({ expiresAt: t0 + 5_000 }),
      draft({ start: { at: t0 + 2_000 } }),
    );
    const [answer] = await engine.canceller.cancel("ada", [cancelled!]);
    assert.equal(answer?.kind, "cancelled");
    await pass(clock, 10_000);
    assert.deepEqual(running(), []);
    assert.deepEqual(
      reader.results.map(({ id, state, attempts }) => [id, state, attempts]),
      [
        [cancelled, "CANCELLED", 0],
        [expires, "DEAD", 0],
      ],
    );
    assert.equal(await stateOf(later!), "QUEUED");
    await engine.poolControl.resume("cpu", "ops");
    await settle();
    assert.deepEqual(running(), [later]);
  });

  test("that fail while they run are retried after the resume, and dead ones can be redriven before it", async (t) => {
    const { engine, clock, admit, running, pool, stateOf } = await openPaused(t);
    await engine.poolControl.resume("cpu", "ops");
    const [retried, dead] = await admit(draft(), draft());
    await settle();
    await engine.poolControl.pause("cpu", "ops");
    const failure = { reason: "bad", message: "no", retryable: true };
    pool.held[0]?.end({ kind: "failed", failure });
    pool.held[0]?.end({ kind: "failed", failure: { ...failure, retryable: false } });
    await pass(clock, 60_000);
    assert.deepEqual([await stateOf(retried!), await stateOf(dead!)], ["QUEUED", "DEAD"]);
    await engine.deadLetters.redrive("ada", [dead!], 0);
    await pass(clock, 5_000);
    assert.deepEqual([running(), await stateOf(dead!)], [[], "QUEUED"]);
    await engine.poolControl.resume("cpu", "ops");
    await settle();
    assert.deepEqual(running().toSorted(), [retried!, dead!].toSorted());
  });

  test("do not start in processes of their own either, where they are suspects", async (t) => {
    const store = createMemoryStore();
    const [job] = newJobs(1);
    await submit(store, [job!]);
    const [lease] = await leaseAll(store);
    await store.settle([settlement(lease!, { state: "QUEUED", outcome: "lost", crashes: 2, output: null })]);
    const clock = createFakeClock(t0);
    const processes = createFakePool({ workers: 1, clock });
    const { engine } = openFakeEngine({ store, clock, isolated: [processes] });
    t.after(async () => {
      const stopped = engine.stop();
      for (; processes.held.length > 0; await settle()) processes.endAll();
      await stopped;
    });
    await engine.poolControl.pause("cpu", "ops");
    await engine.recover();
    await engine.start();
    await pass(clock, 5_000);
    assert.equal(processes.held.length, 0);
    await engine.poolControl.resume("cpu", "ops");
    await settle();
    assert.equal(processes.held[0]?.leases[0]?.id, job?.id);
  });

  test("wait at once in another engine on the same store, whose hint it is", async (t) => {
    const store = createMemoryStore({ isShared: true });
    const { engine } = await openPaused(t, store);
    await engine.poolControl.resume("cpu", "ops");
    const other = openFakeEngine({ store, clock: createFakeClock(t0), owner: "other" });
    await other.engine.recover();
    await engine.poolControl.pause("cpu", "ops");
    await settle();
    assert.equal(other.engine.poolControl.overrides("cpu").pause?.by, "ops");
    await other.engine.stop();
  });

  test("fill it up to its bound and are refused beyond it", async (t) => {
    const opened = openFakeEngine({ store: createMemoryStore(), maxQueued: new Map([["cpu", 2]]) });
    const { engine } = opened;
    await engine.start();
    t.after(() => engine.stop());
    await engine.poolControl.pause("cpu", "ops");
    const admitted = await engine.admission.admit("ada", [draft(), draft(), draft()]);
    assert.deepEqual(
      admitted.map(({ kind }) => kind),
      ["accepted", "accepted", "refused"],
    );
  });

  test("do not keep the server from draining, nor a pause that comes while it drains", async (t) => {
    const { engine, admit, clock } = await openPaused(t);
    await admit(draft());
    engine.drain();
    await engine.poolControl.pause("cpu", "ops");
    const ended = engine.ended();
    await pass(clock, 200);
    await ended;
    await engine.poolControl.resume("cpu", "ops");
    assert.equal(engine.running(), 0);
  });
});
