/** The engine's parts together: a real store, real threads. */
import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import { create, toBinary } from "@bufbuild/protobuf";
import type { Death } from "../../src/engine/settle/alerts.ts";
import type { Draft } from "../../src/engine/admit/draft.ts";
import type { EngineParts } from "../../src/engine/engine.ts";
import { FailInputSchema, SleepInputSchema } from "../../src/gen/millpond/tasks/v1/diagnostic_pb.ts";
import { systemClock } from "../../src/clock.ts";
import { createFakePool } from "../pool/fake-pool.ts";
import { anyJob } from "../store/sample.ts";
import { tryEngine } from "./try-engine.ts";

const blank: Draft = {
  ...{ id: "", task: "echo", channel: "", input: null, idempotencyKey: "", priority: 0, start: null, expiresAt: null },
  ...{ timeoutMs: null, retry: {}, labels: {}, memo: "", discardResult: false, trace: null },
};

function typed(task: string, type: string, bytes: Uint8Array): Draft {
  return { ...blank, task, input: { kind: "message", type, bytes } };
}

const sleeping = (durationMs: number) =>
  typed("sleep", SleepInputSchema.typeName, toBinary(SleepInputSchema, create(SleepInputSchema, { durationMs })));
const failing = () =>
  typed("fail", FailInputSchema.typeName, toBinary(FailInputSchema, create(FailInputSchema, { retryable: false })));

/** An engine that runs. */
async function open(t: TestContext, overrides: Partial<EngineParts> = {}) {
  const opened = await tryEngine(t, overrides);
  const { engine, store } = opened;
  await engine.recover();
  await engine.start();
  const reader = await engine.readers.open({ client: "ada", channel: "default", afterCursor: 0, stopAtEnd: false });
  const submit = async (...drafts: readonly Draft[]) => {
    const admitted = await engine.admission.admit("ada", drafts);
    return admitted.map((each) => (each.kind === "refused" ? assert.fail(each.error) : each.id));
  };
  const next = async () => (await reader.next(1))[0];
  /** Resolves once the job is in this state; changes are told, so nothing is looked for twice. */
  const until = async (id: string, state: string) => {
    const watch = engine.watchers.open("ada", id, 0);
    for (let update = await watch.next(); update; update = await watch.next()) {
      if ((await store.get({ client: "ada", id }))?.state === state) break;
    }
    watch.close();
  };
  return { ...opened, submit, next, until };
}

test("a job runs once although it takes many times its lease", async (t) => {
  const { submit, next } = await open(t, { leaseMs: 150 });
  const [id] = await submit(sleeping(1_500));
  const result = await next();
  assert.deepEqual([result?.id, result?.state, result?.attempts], [id, "SUCCEEDED", 1]);
});

test("a job that runs is cancelled in mid-run, and its result says so", async (t) => {
  const { engine, submit, next, until } = await open(t);
  const [id] = await submit(sleeping(60_000));
  await until(id!, "RUNNING");
  const [answer] = await engine.canceller.cancel("ada", [id!]);
  assert.equal(answer?.kind, "cancelling");
  const result = await next();
  assert.deepEqual([result?.id, result?.state, result?.failure?.reason], [id, "CANCELLED", "cancelled"]);
});

test("a job whose deadline passes in the queue dies there, while every worker is busy", async (t) => {
  const deaths: Death[] = [];
  const { engine, submit, next, until, clock } = await open(t, { onDeath: (died) => void deaths.push(...died) });
  const busy = await submit(sleeping(60_000), sleeping(60_000));
  for (const id of busy) await until(id, "RUNNING");
  const [late] = await submit({ ...blank, expiresAt: clock.now() + 50 });
  const result = await next();
  assert.deepEqual([result?.id, result?.deadReason, result?.attempts], [late, "expired", 0]);
  assert.deepEqual(
    deaths.map(({ id, deadReason }) => [id, deadReason]),
    [[late, "expired"]],
  );
  assert.equal(engine.backlog.queued("cpu"), 0);
  await engine.canceller.cancelWhere("ada", anyJob, { dryRun: false, signal: new AbortController().signal });
});

test("a pause answers that jobs whose worker still starts wait, and do not run", async (t) => {
  const pool = createFakePool({ name: "cpu", workers: 2, clock: systemClock, takeMs: () => 600_000 });
  const { engine, submit, until } = await open(t, { pools: [pool] });
  const ids = await submit(sleeping(1), sleeping(1));
  for (const id of ids) await until(id, "RUNNING");
  const counts = () => engine.numbers.pools().map(({ running, queued }) => [running, queued])[0];
  assert.deepEqual(counts(), [2, 0]);
  await engine.poolControl.pause("cpu", "ada");
  assert.deepEqual(counts(), [0, 2]);
  for (const id of ids) await until(id, "QUEUED");
  assert.deepEqual(counts(), [0, 2]);
});

test("a dead letter is redriven, and dies again with its history", async (t) => {
  const { engine, submit, next, store } = await open(t);
  const [id] = await submit(failing());
  assert.equal((await next())?.deadReason, "permanent");
  assert.deepEqual(await engine.deadLetters.redrive("ada", [id!], 0), [{ kind: "redriven", pool: "cpu", trace: null }]);
  const again = await next();
  assert.deepEqual([again?.id, again?.state, again?.redrives], [id, "DEAD", 1]);
  assert.equal((await store.get({ client: "ada", id: id! }))?.history.length, 2);
});

test("draining leaves what waits in the store, and what runs runs to its end", async (t) => {
  const { engine, submit, until, store } = await open(t);
  const running = await submit(sleeping(300), sleeping(300));
  for (const id of running) await until(id, "RUNNING");
  const [waiting] = await submit(blank);
  engine.drain();
  await engine.ended();
  assert.equal(engine.running(), 0);
  const { SUCCEEDED, QUEUED, RUNNING } = (await store.counts()).pools[0] ?? {};
  assert.deepEqual([SUCCEEDED, QUEUED, RUNNING], [2, 1, 0]);
  assert.equal((await engine.explain("ada", waiting!))?.cause, "draining");
});
