/** `Run` and `WatchJob` while no hint comes, and while the store is unavailable: what they wait for they find by themselves. */
import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import { create } from "@bufbuild/protobuf";
import { type JobState, JobState as State } from "../../src/gen/millpond/v1/job_pb.ts";
import { RunRequestSchema, WatchJobRequestSchema } from "../../src/gen/millpond/v1/worker_pool_pb.ts";
import type { CallContext } from "../../src/rpc/call.ts";
import { run } from "../../src/rpc/run.ts";
import { detailsOf } from "../../src/rpc/status.ts";
import { watchJob } from "../../src/rpc/watch-job.ts";
import { createMemoryStore } from "../../src/store/memory.ts";
import { draft, refusalOf } from "../engine/admit/try-admission.ts";
import { createAwayStore } from "../engine/away-store.ts";
import { openFakeEngine, pass } from "../engine/fake-engine.ts";
import { loaded, untraced } from "../support/samples.ts";

const call: CallContext = {
  client: "ada",
  signal: new AbortController().signal,
  deadlineAt: null,
  trace: {},
  rpcSystem: "grpc",
};
const tasks = new Map([["echo", loaded("echo")]]);

/** An engine that gets no hints, and what the calls need of it. */
async function open(t: TestContext) {
  const { store, lose } = createAwayStore({ ...createMemoryStore({ isShared: true }), subscribe: () => () => {} });
  const opened = openFakeEngine({ store });
  const { engine, pool, clock } = opened;
  await engine.recover();
  await engine.start();
  t.after(async () => {
    engine.watchers.closeAll();
    const stopped = engine.stop();
    pool.endAll();
    await pass(clock, 1_000);
    await stopped;
  });
  const limits = { values: 1_000, messageBytes: 100_000 };
  const parts = { ...engine, store, clock, tracing: untraced, tasks: () => tasks, limits };
  return { ...opened, lose, parts: { ...parts, draining: new AbortController().signal } };
}

test("Run answers within a poll of the end of its job, also when the store was away meanwhile", async (t) => {
  const { parts, pool, clock, lose } = await open(t);
  const answer = run(parts, create(RunRequestSchema, { job: { task: "echo" } }), call);
  await pass(clock, 1_500);
  assert.equal(pool.held.length, 1);
  pool.endAll();
  await pass(clock, 100);
  lose("asks");
  await pass(clock, 5_000);
  lose(null);
  await pass(clock, 1_500);
  const { result } = await answer;
  assert.equal(result?.state, State.SUCCEEDED);
});

test("a Run whose timer fires a moment before its deadline has reached it, and its job expires", async (t) => {
  const { parts, clock } = await open(t);
  const ends = new AbortController();
  const deadlineAt = clock.now() + 1_000;
  const answer = refusalOf(
    run(parts, create(RunRequestSchema, { job: { task: "echo" } }), { ...call, deadlineAt, signal: ends.signal }),
  );
  await pass(clock, 900);
  clock.advance(99);
  ends.abort();
  assert.equal((await answer).reason, "deadline_exceeded");
});

test("WatchJob shows every state that lasts for a poll, in order, also when the store was away meanwhile", async (t) => {
  const { parts, engine, pool, clock, lose } = await open(t);
  const [admitted] = await engine.admission.admit("ada", [draft()]);
  const jobId = admitted?.kind === "accepted" ? admitted.id : assert.fail();
  const states: JobState[] = [];
  const watching = (async () => {
    for await (const { update } of watchJob(parts, create(WatchJobRequestSchema, { jobId }), call)) {
      if (update.case === "job") states.push(update.value.state);
    }
  })();
  await pass(clock, 2_500);
  assert.deepEqual(states, [State.QUEUED, State.RUNNING]);
  lose("asks");
  await pass(clock, 5_000);
  lose(null);
  pool.endAll();
  await pass(clock, 1_500);
  await watching;
  assert.deepEqual(states, [State.QUEUED, State.RUNNING, State.SUCCEEDED]);
});

test("a call is UNAVAILABLE while the store is, and says when to try again", async (t) => {
  const { parts, lose } = await open(t);
  lose("asks");
  const refused = await refusalOf(run(parts, create(RunRequestSchema, { job: { task: "echo" } }), call));
  const details = detailsOf(refused).map(({ desc, value }) => [desc.name, value["reason"] ?? value["retryDelay"]]);
  assert.equal(refused.reason, "store_unavailable");
  assert.deepEqual(
    details.map(([name]) => name),
    ["ErrorInfo", "RetryInfo"],
  );
});
