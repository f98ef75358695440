import assert from "node:assert/strict";
import { test } from "node:test";
import { toJson } from "@bufbuild/protobuf";
import { job, type JobOptions, MillpondClientError } from "../../../clients/typescript/index.ts";
import { JobSpecSchema } from "../../../src/gen/millpond/v1/job_pb.ts";
import { start } from "./fixtures.ts";

/** What travels, by protobuf's JSON mapping; what is not set is not there. */
function sent(options?: JobOptions): object {
  const {
    id: _id,
    task: _task,
    ...rest
  } = toJson(JobSpecSchema, job("echo", undefined, options).spec) as {
    [field: string]: unknown;
  };
  return rest;
}

test("a job without options carries none", () => {
  assert.deepEqual(sent(), {});
  assert.deepEqual(sent({ retry: undefined, labels: undefined, runAt: undefined, delayMs: undefined }), {});
});

test("every option has its field", () => {
  const options: JobOptions = {
    channel: "web",
    idempotencyKey: "invoice-4711",
    priority: -7,
    runAt: new Date("2026-01-02T03:04:05.678Z"),
    expiresAt: new Date("2026-01-03T00:00:00Z"),
    timeoutMs: 1500.25,
    retry: { maxAttempts: 7, baseMs: 250, factor: 1.5, maxBackoffMs: 60_000, jitter: "none" },
    labels: { customer: "17" },
    memo: '{"by":"ada"}',
    discardResult: true,
  };
  assert.deepEqual(sent(options), {
    channel: "web",
    idempotencyKey: "invoice-4711",
    priority: -7,
    runAt: "2026-01-02T03:04:05.678Z",
    expiresAt: "2026-01-03T00:00:00Z",
    timeout: "1.500250s",
    retry: { maxAttempts: 7, base: "0.250s", factor: 1.5, maxBackoff: "60s", jitter: "JITTER_NONE" },
    labels: { customer: "17" },
    memo: '{"by":"ada"}',
    discardResult: true,
  });
  assert.deepEqual(sent({ delayMs: 5_000, retry: { jitter: "full" } }), {
    delay: "5s",
    retry: { jitter: "JITTER_FULL" },
  });
});

test("a retry policy tells zero and absent apart", () => {
  assert.deepEqual(sent({ retry: { baseMs: 0, maxAttempts: 0 } }), { retry: { base: "0s", maxAttempts: 0 } });
});

test("what a server could refuse goes to the server, which knows the bounds", () => {
  assert.deepEqual(sent({ delayMs: -5, priority: 1000 }), { delay: "-0.005s", priority: 1000 });
});

test("what cannot travel is refused with its field", () => {
  const cases: readonly (readonly [string, object])[] = [
    ["priority", { priority: 1.5 }],
    ["priority", { priority: 2 ** 31 }],
    ["delay", { delayMs: Number.NaN }],
    ["delay", { delayMs: Number.POSITIVE_INFINITY }],
    ["delay", { delayMs: "5s" }],
    ["timeout", { timeoutMs: 1e30 }],
    ["run_at", { runAt: new Date("soon") }],
    ["run_at", { runAt: "2026-01-01" }],
    ["run_at", { runAt: new Date(0), delayMs: 0 }],
    ["expires_at", { expiresAt: new Date(Number.NaN) }],
    ["retry.max_attempts", { retry: { maxAttempts: -1 } }],
    ["retry.base", { retry: { baseMs: Number.NaN } }],
    ["labels.customer", { labels: { customer: 17 } }],
  ];
  for (const [field, options] of cases) {
    assert.throws(
      () => job("echo", 1, options),
      (error) => {
        assert.ok(error instanceof MillpondClientError);
        assert.equal(error.reason, "invalid_argument");
        assert.equal(error.violations[0]?.field, field);
        assert.ok(error.message.startsWith(`${field}: `), error.message);
        return true;
      },
    );
  }
});

test("submit gives the id of the job that has the key", async (t) => {
  const onUnary = { submit: () => ({ receipts: [{ receipt: { case: "duplicateOf", value: "the-first" } }] }) };
  const { client } = await start(t, { onUnary });
  assert.equal(await client.submit("echo", 1, { idempotencyKey: "invoice-4711" }), "the-first");
});

test("map gives every job the same options", async (t) => {
  const { client, server } = await start(t);
  const options = { timeoutMs: 2_000, labels: { batch: "9" } };
  await Array.fromAsync(client.map("echo", [1, 2], { job: options }));
  assert.deepEqual(
    [...server.jobs.values()].map(({ timeout, labels }) => [timeout?.seconds, labels]),
    [
      [2n, { batch: "9" }],
      [2n, { batch: "9" }],
    ],
  );
});

test("a result tells its labels, its redrives and why the job is dead", async (t) => {
  const { client, server } = await start(t);
  await client.submit("echo", 1, { channel: "web" });
  const [stored] = server.channels.get("web") ?? [];
  Object.assign(stored ?? {}, { state: 4, deadReason: 3, labels: { customer: "17" }, redrives: 2 });
  const [result] = await Array.fromAsync(client.results({ channel: "web", stopAtEnd: true }));
  assert.equal(result?.state, "DEAD");
  assert.equal(result.deadReason, "expired");
  assert.deepEqual(result.labels, { customer: "17" });
  assert.equal(result.redrives, 2);
});
