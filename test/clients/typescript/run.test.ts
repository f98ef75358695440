import assert from "node:assert/strict";
import { test } from "node:test";
import { SleepInputSchema } from "../../../src/gen/millpond/tasks/v1/diagnostic_pb.ts";
import type { RunRequest } from "../../../src/gen/millpond/v1/worker_pool_pb.ts";
import { bareStatus, start, status, until } from "./fixtures.ts";

/** Gives back what it gets, as the fake server does. */
const mirror = { name: "mirror", input: SleepInputSchema, output: SleepInputSchema } as const;

const succeeded = ({ job }: RunRequest) => ({
  result: { jobId: job?.id, task: job?.task, state: 3, output: job?.input, attempts: 1 },
});

test("run gives the typed result, and sends what it was told", async (t) => {
  const seen: RunRequest[] = [];
  const { client } = await start(t, {
    onUnary: {
      run: (request: RunRequest) => {
        seen.push(request);
        return succeeded(request);
      },
    },
  });
  const result = await client.run(mirror, { durationMs: 7 }, { detach: true, channel: "web", priority: 3, id: "x" });
  assert.equal(result.state, "SUCCEEDED");
  assert.equal(result.output.durationMs, 7);
  const [request] = seen;
  assert.equal(request?.detach, true);
  const { id, task, channel, priority } = request.job ?? {};
  assert.deepEqual({ id, task, channel, priority }, { id: "x", task: "mirror", channel: "web", priority: 3 });
});

test("a job that fails is a result, not an error", async (t) => {
  const failure = { reason: "nope", message: "no way", retryable: false };
  const onUnary = { run: () => ({ result: { jobId: "x", state: 4, deadReason: 2, failure } }) };
  const { client } = await start(t, { onUnary });
  const result = await client.run("fail", {});
  assert.equal(result.state, "DEAD");
  assert.equal(result.deadReason, "permanent");
  assert.equal(result.failure.reason, "nope");
});

test("the deadline travels with the call; without one the call has none", async (t) => {
  const deadlines: unknown[] = [];
  const { client } = await start(t, {
    onUnary: {
      run: (request: RunRequest, call: { getDeadline(): unknown }) => {
        deadlines.push(call.getDeadline());
        return succeeded(request);
      },
    },
  });
  await client.run("echo", 1);
  await client.run("echo", 1, { deadlineMs: 5_000 });
  assert.equal(deadlines[0], Number.POSITIVE_INFINITY);
  const leftMs = Number(deadlines[1]) - Date.now();
  assert.ok(leftMs > 0 && leftMs <= 5_000, `${leftMs} ms are left`);
});

test("a signal cancels the call, which rejects with its reason", async (t) => {
  const stop = new AbortController();
  let isCancelled = () => false;
  const { client } = await start(t, {
    onUnary: {
      run: (_request: RunRequest, call: { readonly cancelled: boolean }) => {
        isCancelled = () => call.cancelled;
        setImmediate(() => stop.abort(new Error("enough")));
        return new Promise(() => undefined);
      },
    },
  });
  await assert.rejects(client.run("echo", 1, { signal: stop.signal }), { message: "enough" });
  await until(() => isCancelled());
});

test("a signal that is aborted already sends nothing", async (t) => {
  const { client, server } = await start(t);
  await assert.rejects(client.run("echo", 1, { signal: AbortSignal.abort(new Error("never")) }), { message: "never" });
  assert.equal(server.metadata.length, 0);
});

test("a call whose connection broke is made again under the same id", async (t) => {
  const ids: (string | undefined)[] = [];
  const onUnary = {
    run: (request: RunRequest) => {
      ids.push(request.job?.id);
      if (ids.length < 3) throw bareStatus(14, "connection dropped");
      return succeeded(request);
    },
  };
  const { client } = await start(t, { onUnary });
  const { jobId } = await client.run("echo", 1);
  assert.deepEqual(ids, [jobId, jobId, jobId]);
});

test("where the lost connection cancelled the job, the loss is thrown", async (t) => {
  let calls = 0;
  const onUnary = {
    run: () => {
      if (calls++ === 0) throw bareStatus(13, "reset");
      return { result: { jobId: "x", state: 5, failure: { reason: "cancelled" } } };
    },
  };
  const { client } = await start(t, { onUnary });
  await assert.rejects(client.run("echo", 1), { reason: "connection_lost" });
  calls = 0;
  assert.equal((await client.run("echo", 1, { detach: true })).state, "CANCELLED", "then somebody else cancelled it");
  calls = 1;
  assert.equal((await client.run("echo", 1)).state, "CANCELLED", "nothing was lost");
});

test("a refusal is about the job's own fields", async (t) => {
  const violations = [{ field: "job.priority", description: "is 1000, at most 100" }];
  const onUnary = {
    run: () => {
      const message = "job.priority: is 1000, at most 100; see the job. Thanks";
      throw status({ code: 3, reason: "invalid_argument", message, violations });
    },
  };
  const { client } = await start(t, { onUnary });
  await assert.rejects(client.run("echo", 1, { priority: 1000 }), {
    message: "priority: is 1000, at most 100; see the job. Thanks",
    violations: [{ field: "priority", description: "is 1000, at most 100" }],
  });
});
