/** A store that is unavailable for a while: nothing is lost, and the engine goes on by itself. */
import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import { createMemoryStore } from "../../src/store/memory.ts";
import { refusalOf, draft } from "./admit/try-admission.ts";
import { createAwayStore, retryAfterMs } from "./away-store.ts";
import { follow, openFakeEngine, pass, startFakeEngine } from "./fake-engine.ts";

const leaseMs = 30_000;
const awayMs = 10_000;
/** By then whoever waited has tried again. */
const backMs = 1_500;
const idOf = (index: number) => `00000000-0000-7000-8000-${String(index).padStart(12, "0")}`;

async function open(t: TestContext, workers = 1) {
  const inner = createMemoryStore({ isShared: true });
  const { store, lose, answer } = createAwayStore(inner);
  const opened = openFakeEngine({ store, workers, leaseMs });
  const { engine, pool, clock } = opened;
  await startFakeEngine(t, opened, () => lose(null));
  const runs: string[] = [];
  return {
    ...opened,
    ...{ inner, lose, answer, runs },
    submit: (...ids: number[]) =>
      engine.admission.admit(
        "ada",
        ids.map((id) => draft({ id: idOf(id) })),
      ),
    /** Ends what runs, and writes down what it was. */
    run() {
      for (const { leases } of pool.held)
        runs.push(...leases.map(({ id, attempt }) => `${Number(id.slice(-12))}:${attempt}`));
      pool.endAll();
    },
    running: () => pool.held.flatMap(({ leases }) => leases.map(({ id }) => Number(id.slice(-12)))),
    pass: (ms: number, afterStep?: () => void) => pass(clock, ms, afterStep),
    jobOf: (id: number) => inner.get({ client: "ada", id: idOf(id) }),
  };
}

test("the store is away for ten seconds: what ended is written afterwards and not run again, what runs keeps its lease, what waits is run", async (t) => {
  const { engine, submit, lose, run, runs, running, pass, jobOf, lines, pool } = await open(t, 2);
  const reader = await follow(engine);
  await submit(1, 2, 3);
  await pass(100);
  assert.deepEqual(running(), [1, 2]);
  lose("asks");
  pool.held[0]?.end();
  await pass(awayMs);
  assert.deepEqual(running(), [2], "nothing new is leased");
  const { reason, retryAfterMs: adviceMs } = await refusalOf(submit(4));
  assert.deepEqual([reason, adviceMs], ["store_unavailable", retryAfterMs]);
  assert.deepEqual(reader.results, []);
  lose(null);
  await pass(backMs);
  assert.deepEqual(
    reader.results.map(({ id, state, attempts }) => [id, state, attempts]),
    [[idOf(1), "SUCCEEDED", 1]],
  );
  assert.deepEqual(running(), [2, 3]);
  assert.equal((await submit(4))[0]?.kind, "accepted");
  await pass(2 * leaseMs);
  assert.deepEqual(running(), [2, 3], "their leases are renewed as before");
  await pass(backMs, run);
  assert.deepEqual(runs.toSorted(), ["2:1", "3:1", "4:1"]);
  for (const id of [1, 2, 3, 4]) assert.equal((await jobOf(id))?.attempts, 1);
  const warnings = lines.filter(({ text }) => text.startsWith("the store is unavailable"));
  assert.equal(warnings.length, 1, "one line in ten seconds");
});

test("the store did what it was asked, and its answers were lost: nothing is done twice", async (t) => {
  const { engine, submit, lose, run, runs, running, pass, jobOf, pool } = await open(t);
  const reader = await follow(engine);
  await submit(1);
  await pass(100);
  lose("answers");
  pool.endAll();
  await refusalOf(submit(2));
  await pass(backMs);
  lose(null);
  assert.equal((await submit(2))[0]?.kind, "duplicate");
  await pass(backMs);
  assert.deepEqual(
    reader.results.map(({ id, cursor }) => [id, cursor]),
    [[idOf(1), 1]],
  );
  assert.deepEqual(
    running(),
    [],
    "job 2 was leased when the answer was lost: nobody runs it before its lease has ended",
  );
  await pass(leaseMs + 2 * backMs, run);
  assert.deepEqual(runs, ["2:2"], "and that attempt counts");
  assert.deepEqual([(await jobOf(1))?.attempts, (await jobOf(2))?.state], [1, "SUCCEEDED"]);
  assert.equal(engine.backlog.queued("cpu"), 0);
});

test("the store is away for longer than the leases: outcomes are given up, their jobs run again, and each has one result", async (t) => {
  const { engine, submit, lose, run, runs, pass, jobOf, lines } = await open(t);
  const reader = await follow(engine);
  await submit(1);
  await pass(100);
  lose("asks");
  run();
  await pass(leaseMs + awayMs);
  assert.deepEqual(
    lines.flatMap(({ fields, text }) => (text.startsWith("outcomes") ? [fields] : [])),
    [{ jobs: 1 }],
  );
  lose(null);
  await pass(4 * backMs, run);
  assert.deepEqual(runs, ["1:1", "1:2"]);
  assert.deepEqual([(await jobOf(1))?.state, (await jobOf(1))?.crashes], ["SUCCEEDED", 0]);
  assert.equal(reader.results.length, 1);
});

test("the store does not answer a write for longer than a lease: its job is not run again, and the outcome counts", async (t) => {
  const { submit, lose, answer, run, runs, pass, jobOf } = await open(t);
  await submit(1);
  await pass(100);
  lose("silent", "settle");
  run();
  lose(null);
  await pass(leaseMs + awayMs, run);
  answer();
  await pass(backMs, run);
  assert.deepEqual(runs, ["1:1"]);
  assert.deepEqual([(await jobOf(1))?.state, (await jobOf(1))?.attempts], ["SUCCEEDED", 1]);
});

test("the store is away while a server stops: it stops once the outcomes are written", async (t) => {
  const { engine, submit, lose, running, pass, jobOf, pool } = await open(t);
  await submit(1);
  await pass(100);
  assert.deepEqual(running(), [1]);
  lose("asks");
  let hasStopped = false;
  void engine.stop().then(() => {
    hasStopped = true;
  });
  pool.endAll();
  await pass(awayMs);
  assert.equal(hasStopped, false);
  lose(null);
  await pass(backMs);
  assert.equal(hasStopped, true);
  assert.equal((await jobOf(1))?.state, "SUCCEEDED");
});

test("the store is away while the backlog is polled: what the store has counts, whatever became of the submits", async (t) => {
  const { engine, submit, lose, pass, running } = await open(t);
  await submit(1);
  await pass(100);
  assert.deepEqual(running(), [1]);
  lose("answers");
  await refusalOf(submit(2, 3));
  lose("asks");
  await refusalOf(submit(4));
  assert.equal(engine.backlog.queued("cpu"), 0, "nothing is known of them");
  lose(null);
  await pass(backMs);
  assert.equal(engine.backlog.queued("cpu"), 2);
});
