import assert from "node:assert/strict";
import { test } from "node:test";
import { type Job, job } from "../../../clients/typescript/index.ts";
import type { SubmitRequest } from "../../../src/gen/millpond/v1/worker_pool_pb.ts";
import { bareStatus, jsonOf, numbers, refused, start, status } from "./fixtures.ts";

const echoes = (count: number): Job[] => [...numbers(count)].map((input) => job("echo", input));

test("submitAll gives one receipt for each job, in their order", async (t) => {
  const { client } = await start(t, {
    receipt: (spec) => (jsonOf(spec) === 1 ? refused("invalid_argument") : undefined),
  });
  const jobs = echoes(3);
  const [first, second, third] = await client.submitAll([...jobs, ...jobs.slice(0, 1)]);
  assert.deepEqual(first, { jobId: jobs[0]?.spec.id, isDuplicate: false });
  assert.equal(second?.refusal?.reason, "invalid_argument");
  assert.equal(third?.jobId, jobs[2]?.spec.id);
  assert.deepEqual(await client.submitAll(jobs.slice(2)), [{ jobId: jobs[2]?.spec.id, isDuplicate: true }]);
});

test("more jobs than a call may carry go in several", async (t) => {
  const sizes: number[] = [];
  const { client, server } = await start(t);
  server.behaviour.onUnary["submit"] = (({ jobs }: SubmitRequest) => {
    sizes.push(jobs.length);
    return { receipts: jobs.map(({ id }) => ({ receipt: { case: "jobId", value: id } })) };
  }) as never;
  assert.equal((await client.submitAll(echoes(2_500))).length, 2_500);
  assert.deepEqual(sizes, [1_000, 1_000, 500]);

  const large = Array.from({ length: 5 }, () => job("echo", new Uint8Array(900_000)));
  assert.equal((await client.submitAll(large)).length, 5);
  assert.deepEqual(sizes.slice(3), [2, 2, 1]);
});

test("when all are refused, each still gets a refusal of its own", async (t) => {
  const { client, server } = await start(t);
  server.behaviour.onUnary["submit"] = (({ jobs }: SubmitRequest) => {
    // As the server does: the call fails with the first refusal.
    const description = `is ${String(jobs[0] && jsonOf(jobs[0]))}`;
    const violations = [{ field: "jobs[0].input", description }];
    throw status({ code: 3, reason: "invalid_argument", message: `jobs[0].input: ${description}`, violations });
  }) as never;
  const receipts = await client.submitAll(echoes(5));
  assert.deepEqual(
    receipts.map(({ refusal }) => refusal?.message),
    [...numbers(5)].map((input) => `input: is ${input}`),
  );
  assert.deepEqual(receipts[4]?.refusal?.violations, [{ field: "input", description: "is 4" }]);
  await assert.rejects(client.submit("echo", 7), { message: "input: is 7", codeName: "INVALID_ARGUMENT" });
});

test("a refusal of the moment is everybody's, and is not asked about again", async (t) => {
  let calls = 0;
  const onUnary = {
    submit: () => {
      calls++;
      throw status({ code: 8, reason: "queue_full", message: "full", retryAfterMs: 20 });
    },
  };
  const { client } = await start(t, { onUnary }, { retries: 1 });
  const receipts = await client.submitAll(echoes(4));
  assert.deepEqual(
    receipts.map(({ refusal }) => [refusal?.reason, refusal?.retryAfterMs]),
    [...numbers(4)].map(() => ["queue_full", 20]),
  );
  assert.equal(calls, 2);
});

test("a call that fails throws", async (t) => {
  const onUnary = {
    submit: () => {
      throw bareStatus(12, "not here");
    },
  };
  const { client } = await start(t, { onUnary });
  await assert.rejects(client.submitAll(echoes(2)), { reason: "unimplemented", codeName: "UNIMPLEMENTED" });
});
