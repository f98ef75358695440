import assert from "node:assert/strict";
import { suite, test, type TestContext } from "node:test";
import { systemClock } from "../../../src/clock.ts";
import type { Lease } from "../../../src/job/job.ts";
import { startOwnProcess } from "../../../src/pool/isolated/own-process.ts";
import { createIsolatedPool, type IsolatedPoolOptions } from "../../../src/pool/isolated/pool.ts";
import type { ProcessSettings } from "../../../src/pool/isolated/protocol.ts";
import type { Sources } from "../../../src/pool/module-hooks.ts";
import type { AttemptEvent } from "../../../src/pool/port.ts";
import { createFakeClock, turn } from "../../support/fake-clock.ts";
import { keptLog, noResources } from "../../support/samples.ts";
import { until } from "../../support/until.ts";
import { allTasks, collecting, job, maxOutputBytes, shown } from "../try-pool.ts";

/** A pool whose processes end with the test. */
function tryIsolated(t: TestContext, options: Partial<IsolatedPoolOptions> = {}) {
  const { log, lines } = keptLog();
  const events: AttemptEvent[] = [];
  const bare = createIsolatedPool({
    ...{
      name: "tried",
      work: "io",
      resourceHost: noResources,
      code: () => ({ tasks: allTasks, sources: null }),
      loadMs: 60_000,
      graceMs: 60_000,
      maxProcesses: 2,
      log,
    },
    outputBounds: { maxBytes: maxOutputBytes, maxValues: 1_000 },
    clock: systemClock,
    ...options,
  });
  t.after(() => bare.destroy());
  const pool = collecting(bare, { onEvent: (_, event) => void events.push(event) });
  return {
    ...{ pool, lines, events },
    run: async (lease: Lease) => (await pool.run([lease]))[0]!,
    /** Resolves with the process in which the only job of task `names` runs. */
    async pidOf() {
      await until(() => lines.some(({ text }) => text === "here"));
      return (lines.find(({ text }) => text === "here")!.fields["fields"] as { pid: number }).pid;
    },
  };
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

suite("a job in a process of its own", () => {
  test("runs on the code of the moment in which its process starts, which need not be what the disk has", async (t) => {
    let sources: Sources | null = null;
    const { run } = tryIsolated(t, { code: () => ({ tasks: allTasks, sources }) });
    assert.equal(shown(await run(job("echo", 1))), "succeeded json 1");
    const { file } = allTasks.find(({ name }) => name === "echo")!;
    const text = `import { defineTask } from "millpond";
      export default defineTask({ name: "echo", pool: "tried", run: () => "reloaded" });`;
    sources = new Map([[file, { mark: "", code: { format: "module", text } }]]);
    assert.equal(shown(await run(job("echo", 1))), `succeeded json "reloaded"`);
  });

  test("ends as it does in any pool, with its settings, its log and its progress, and its process with it", async (t) => {
    const { pool, run, events, lines } = tryIsolated(t);
    const lease = job("names", "end");
    const { outcome } = await run(lease);
    assert.equal(outcome.kind, "succeeded");
    const pid = Number(Buffer.from(outcome.output!.bytes).toString());
    assert.notEqual(pid, process.pid);
    assert.deepEqual(
      events.map(({ kind }) => kind),
      ["progress", "log"],
    );
    assert.equal(lines.find(({ text }) => text === "here")?.fields["job"], lease.id);
    await until(() => !isAlive(pid) && pool.workers() === 0);
    const [bytes, failure] = [await run(job("gives", "bytes")), await run(job("throws", "permanent"))];
    assert.deepEqual([shown(bytes), shown(failure)], ["succeeded data bc", "failed too_old"]);
  });

  test("hands in the spans of its task, also when its worker is ended", async (t) => {
    const { pool, run, lines } = tryIsolated(t, { isTraced: true, graceMs: 50 });
    const ended = await run(job("traces", "throws"));
    assert.deepEqual(
      ended.spans?.map(({ name, error }) => [name, error]),
      [
        ["outer", "too far"],
        ["quick", undefined],
      ],
    );
    const lease = job("traces", "spins");
    const running = run(lease);
    await until(() => lines.some(({ text }) => text === "waiting"));
    pool.cancel(lease.seq);
    assert.deepEqual(
      (await running).spans?.map(({ name }) => name),
      ["done", "work", "never ends"],
    );
  });

  for (const signal of ["SIGSEGV", "SIGABRT", "SIGKILL"] as const) {
    test(`that ends its process by ${signal} is blamed for it, and no job beside it is harmed`, async (t) => {
      const { run, pool } = tryIsolated(t);
      const beside = run(job("names", "wait", { seq: 1 }));
      const { outcome, lease } = await run(job("kills", signal, { seq: 2 }));
      assert.deepEqual([outcome, lease.seq], [{ kind: "lost", died: "own_process", how: signal }, 2]);
      pool.cancel(1);
      assert.equal(shown(await beside), "cancelled");
    });
  }

  test("is not blamed before the server has outlived the process by a second: one kill may be meant for both", async (t) => {
    const clock = createFakeClock();
    const { pool, run } = tryIsolated(t, { clock });
    let isBlamed = false;
    const ended = run(job("kills", "SIGKILL")).finally(() => {
      isBlamed = true;
    });
    await until(() => pool.workers() === 1);
    await until(() => pool.workers() === 0);
    clock.advance(999);
    await turn();
    assert.equal(isBlamed, false);
    clock.advance(1);
    assert.equal(shown(await ended), "lost");
  });

  test("keeps its process when the server's are told to end: the server decides", async (t) => {
    const { run, pool, pidOf } = tryIsolated(t);
    const ended = run(job("names", "wait", { seq: 1 }));
    const pid = await pidOf();
    for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.kill(pid, signal);
    assert.equal(pool.cancel(1, 7), false, "another attempt is meant");
    assert.equal(pool.cancel(1), true);
    assert.equal(shown(await ended), "cancelled");
  });

  test("that does not stop in time is ended by its process, and with it when that does not move any more", async (t) => {
    const { run } = tryIsolated(t, { graceMs: 50 });
    const timeoutMs = 200;
    assert.equal(shown(await run(job("names", "stay", { timeoutMs }))), "timed_out 200");
    const clock = createFakeClock();
    const stopped = tryIsolated(t, { clock, graceMs: 50 });
    const ended = stopped.run(job("names", "stay", { timeoutMs: 3_600_000 }));
    process.kill(await stopped.pidOf(), "SIGSTOP");
    clock.advance(3_600_000 + 50 + 10_000);
    assert.equal(shown(await ended), "timed_out 3600000");
  });

  test("is given back when the server stops, whether it has begun or not, and no process is left", async (t) => {
    const { pool, run, pidOf } = tryIsolated(t);
    const running = run(job("names", "wait", { seq: 1 }));
    const pid = await pidOf();
    const starting = run(job("names", "wait", { seq: 2 }));
    pool.releaseAll();
    assert.deepEqual([shown(await running), shown(await starting)], ["released", "released"]);
    assert.equal(shown(await run(job("names", "end"))), "released", "and so is what comes later");
    await pool.destroy();
    assert.deepEqual([pool.workers(), isAlive(pid)], [0, false]);
  });

  test("is given back by withdraw unless it has begun, and the pool goes on", async (t) => {
    const { pool, run, pidOf } = tryIsolated(t);
    const running = run(job("names", "wait", { seq: 1 }));
    await pidOf();
    const starting = run(job("names", "wait", { seq: 2 }));
    assert.equal(pool.free(), 0);
    pool.withdraw();
    assert.equal(pool.free(), 1);
    assert.equal(shown(await starting), "released");
    await until(() => pool.workers() === 1); // its process is ended
    assert.match(shown(await run(job("names", "end", { seq: 3 }))), /^succeeded/);
    pool.cancel(1);
    assert.equal(shown(await running), "cancelled", "it was not asked to stop before");
  });

  test("that obeys nothing is given back all the same when the pool ends", async (t) => {
    const { pool, run, pidOf } = tryIsolated(t);
    const ended = run(job("names", "stay"));
    await pidOf();
    await pool.destroy();
    assert.equal(shown(await ended), "released");
  });

  for (const [how, execPath] of [
    ["with an event", "/nowhere/node"],
    ["with an exception", "/dev/null/node"],
  ] as const) {
    test(`waits, and is blamed for nothing, while the machine refuses processes (${how})`, async (t) => {
      const clock = createFakeClock();
      const { pool, run, lines } = tryIsolated(t, { clock });
      const { execPath: real } = process;
      t.after(() => {
        process.execPath = real;
      });
      process.execPath = execPath;
      assert.equal(shown(await run(job("names", "end"))), "released");
      assert.deepEqual([pool.canRun(), pool.free()], [false, 0]);
      assert.match(lines.at(-1)!.text, /no process could be started/);
      clock.advance(1_000);
      assert.deepEqual([pool.canRun(), pool.free()], [true, 2]);
      process.execPath = real;
      assert.match(shown(await run(job("names", "end"))), /^succeeded/);
    });
  }

  test("that does not load in time has failed, and no other suspect of the pool waits for that", async (t) => {
    const clock = createFakeClock();
    process.env["MILLPOND_TEST_BOOT"] = "hangs";
    t.after(() => delete process.env["MILLPOND_TEST_BOOT"]);
    const { pool, run, lines } = tryIsolated(t, { clock });
    const lease = job("boots", null);
    const ended = run(lease);
    await until(() => pool.workers() === 1);
    clock.advance(1_000);
    assert.equal(pool.startingMs(lease.seq), 1_000);
    clock.advance(89_000);
    const { outcome } = await ended;
    assert.ok(outcome.kind === "failed");
    const { reason, message, retryable } = outcome.failure;
    assert.deepEqual([reason, retryable], ["task_not_started", true]);
    assert.match(message, /its task did not load within 90000 ms: raise taskLoadMs/);
    assert.deepEqual([lines.at(-1)!.level, lines.at(-1)!.fields["job"]], ["error", lease.id]);
    assert.deepEqual([pool.canRun(), pool.free()], [true, 2]);
    assert.match(shown(await run(job("names", "end"))), /^succeeded/);
  });

  test("whose process ends before its task is loaded has failed, once the server has outlived that by a second", async (t) => {
    const clock = createFakeClock();
    const { pool, run, lines } = tryIsolated(t, { clock });
    const ended = run(job("names", "end"));
    process.kill(lines.find(({ text }) => text.startsWith("a suspect runs"))!.fields["pid"] as number, "SIGKILL");
    await until(() => pool.workers() === 0);
    assert.equal(pool.free(), 1, "no verdict yet");
    clock.advance(1_000);
    const { outcome } = await ended;
    assert.ok(outcome.kind === "failed");
    assert.match(outcome.failure.message, /its process ended \(SIGKILL\) before its task was loaded/);
    assert.deepEqual([pool.canRun(), pool.free()], [true, 2]);
  });

  test("has failed the first time that a fault of unknown origin ends its worker: nothing else ran there", async (t) => {
    const { run } = tryIsolated(t);
    const { outcome } = await run(job("strays", "native"));
    assert.ok(outcome.kind === "failed");
    assert.deepEqual([outcome.failure.reason, outcome.failure.retryable], ["worker_died", true]);
    assert.match(outcome.failure.message, /^the worker ended during this job: /);
  });

  test("has failed when what its file left behind keeps it from beginning: it is not given back for ever", async (t) => {
    process.env["MILLPOND_TEST_BOOT"] = "blocks";
    t.after(() => delete process.env["MILLPOND_TEST_BOOT"]);
    assert.equal(shown(await tryIsolated(t).run(job("boots", null))), "failed task_not_started");
  });

  test("leaves no process behind when its first message cannot be sent", async () => {
    const settings = { tasks: [{ settings: () => "no data" }] } as unknown as ProcessSettings;
    assert.throws(() => startOwnProcess(settings, () => {}), /could not be cloned/);
    await until(() => !process.getActiveResourcesInfo().includes("ProcessWrap"));
  });

  test("says how far it is", async (t) => {
    const { pool, run, pidOf } = tryIsolated(t);
    const ended = run(job("names", "wait", { seq: 1 }));
    await pidOf();
    assert.deepEqual(pool.progressOf(1), { fraction: 0.5, note: "half" });
    pool.cancel(1);
    await ended;
    assert.equal(pool.progressOf(1), undefined);
  });
});
