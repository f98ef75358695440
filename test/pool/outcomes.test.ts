import assert from "node:assert/strict";
import { after, describe, test } from "node:test";
import { fromBinary, toBinary, create } from "@bufbuild/protobuf";
import { SleepInputSchema, SleepOutputSchema } from "../../src/gen/millpond/tasks/v1/diagnostic_pb.ts";
import type { Failure } from "../../src/job/job.ts";
import type { Ended } from "../../src/pool/pool.ts";
import { allTasks, job, json, shown, tryPool } from "./try-pool.ts";
import { inputOf } from "../store/sample.ts";

// One thread for all tests but those that say otherwise: no job here harms it. It takes nothing back, or a slow machine would.
const { pool, run } = tryPool({ after }, { takesBack: false, tasks: allTasks });

function failureOf({ outcome }: Ended): Failure {
  assert.equal(outcome.kind, "failed");
  return outcome.failure;
}

describe("inputs", () => {
  test("a task without a type gets JSON, bytes or nothing, as it was sent", async () => {
    const bytes = { kind: "data", type: "", bytes: new TextEncoder().encode("raw") } as const;
    const jobs = [job("echo", { a: [1, "ü"] }), job("echo", bytes), { ...job("echo", null), input: null }];
    assert.deepEqual((await pool.run(jobs)).map(shown), [
      `succeeded json {"a":[1,"ü"]}`,
      "succeeded data raw",
      "succeeded json null",
    ]);
  });

  test("a typed task gets its message, its settings and its attempt, and gives a message", async () => {
    const bytes = toBinary(SleepInputSchema, create(SleepInputSchema, { durationMs: 4 }));
    const lease = { ...job("typed", { kind: "message", type: SleepInputSchema.typeName, bytes }), attempt: 3 };
    const [ended] = await pool.run([lease]);
    assert.equal(ended?.outcome.kind, "succeeded");
    assert.equal(ended.outcome.output?.type, SleepOutputSchema.typeName);
    assert.equal(fromBinary(SleepOutputSchema, ended.outcome.output.bytes).sleptMs, 43);
  });
});

describe("a task with schemas", () => {
  test("gets what its schema makes of the input, with defaults and conversions, also of nothing", async () => {
    const jobs = [job("schema", { day: "2026-03-04" }), job("schema", null, { input: null })];
    assert.deepEqual((await pool.run(jobs)).map(shown), [
      `succeeded json {"day":"2026-03-04T00:00:00.000Z","items":[8]}`,
      `succeeded json {"day":"2026-01-01T00:00:00.000Z","items":[8]}`,
    ]);
  });

  test("fails for good on an input that it took once, before its file was changed", async () => {
    const failure = failureOf(await run("schema", { day: "2026-03-04", count: "many" }));
    assert.equal(failure.reason, "bad_input");
    assert.match(failure.message, /^the task no longer takes this input: input\.count must be a number$/);
    assert.equal(failure.retryable, false);
  });

  test("fails for good on an output that its schema refuses, with the path", async () => {
    const failure = failureOf(await run("schema", { day: "2026-03-04", count: 13 }));
    assert.equal(failure.reason, "bad_output");
    assert.match(failure.message, /^output\.items\[0\] is unlucky$/);
    assert.equal(failure.retryable, false);
  });
});

describe("outputs", () => {
  for (const [what, expected] of [
    ["nothing", "succeeded"],
    ["null", "succeeded json null"],
    ["json", `succeeded json {"a":[1,"two",null]}`],
    ["bytes", "succeeded data bc"],
    ["sharedBytes", "succeeded data \u0007\u0007"],
    ["deepEnough", `succeeded json ${"[".repeat(30)}${"]".repeat(30)}`],
  ] as const) {
    test(`${what}: ${expected.slice(0, 40)}`, async () => {
      assert.equal(shown(await run("gives", what)), expected);
    });
  }

  for (const [what, message] of [
    ["bigint", /^output\.count is a BigInt/],
    ["function", /^output is a function/],
    ["circle", /^output(\.self){10}.* is nested too deep, or contains itself$/],
    ["deep", /^output(\[0\]){10}.* is nested too deep/],
    ["map", /^output\.counts is a Map/],
    ["nan", /^output\.mean is NaN/],
    ["forgottenAwait", /^output\.total\[0\] is a Promise: await it$/],
    ["generator", /^output is a Generator/],
    ["error", /^output is an Error/],
    ["nestedBytes", /^output\.data is a Uint8Array/],
    ["surrogate", /^output\.text has a lone surrogate/],
    ["throwingToJson", /^the task returned something that is not JSON: boom$/],
  ] as const) {
    test(`${what}: a permanent bad_output with the path, for no client could be given it`, async () => {
      const failure = failureOf(await run("gives", what));
      assert.equal(failure.reason, "bad_output");
      assert.match(failure.message, message);
      assert.equal(failure.retryable, false);
    });
  }

  test("of a typed task is the fields of its message, and not anything of which an empty one could be made", async () => {
    const failure = failureOf(await run("typed-wrongly", null));
    assert.equal(failure.reason, "bad_output");
    assert.match(failure.message, /is not a millpond\.tasks\.v1\.SleepOutput: it is a Map$/);
  });

  test("one that is too large fails for good, with its size and the limit", async () => {
    const failure = failureOf(await run("gives", "large"));
    assert.equal(failure.reason, "output_too_large");
    assert.equal(failure.retryable, false);
    assert.deepEqual(failure.details, { size: 2003, limit: 1000 });
  });

  test("bytes are sent without what is around them in their buffer", async () => {
    const { outcome } = await run("gives", "bytes");
    assert.equal(outcome.kind, "succeeded");
    const { length = 0, buffer } = outcome.output?.bytes ?? {};
    assert.equal(length, 2);
    assert.ok(
      buffer && buffer.byteLength < 100,
      "the outcomes of its chunk, and not the 8 KiB that Node.js makes buffers of",
    );
  });
});

describe("what a task throws", () => {
  const cases: readonly (readonly [how: string, failure: Partial<Failure>])[] = [
    ["error", { reason: "task_failed", message: "out of luck", retryable: true }],
    ["permanent", { reason: "too_old", message: "from last year", retryable: false, details: { year: 2025 } }],
    ["retry", { reason: "busy", retryable: true, retryAfterMs: 1501 }],
    ["never", { reason: "busy", retryAfterMs: 365 * 24 * 60 * 60 * 1000 }],
    ["text", { reason: "task_failed", message: "just text", retryable: true }],
    ["nothing", { reason: "task_failed", message: "undefined" }],
    ["oddText", { reason: "task_failed", message: `{"toString":1,"valueOf":1}` }],
    ["trap", { reason: "r", message: "m" }],
    [
      "oddReason",
      { reason: "task_failed", message: `odd (its reason "Not A Reason!" is not 1 to 64 characters of [a-z0-9_])` },
    ],
    ["cause", { reason: "busy", message: "outer, caused by: inner" }],
    ["longMessage", { message: `${"x".repeat(4095)}…` }],
    ["foreign", { reason: "copied", message: "from a copy", retryable: false }],
    ["foreignBare", { reason: "task_failed", retryable: true }],
    ["oddDetails", { details: { size: "1" } }],
    ["abort", { reason: "task_failed", message: "nobody told it to" }],
  ];
  test("becomes a failure, as data", async () => {
    const ended = await pool.run(cases.map(([how]) => job("throws", how)));
    for (const [index, [how, expected]] of cases.entries()) {
      const failure = failureOf(ended[index] as Ended);
      const named = Object.fromEntries(Object.keys(expected).map((key) => [key, failure[key as keyof Failure]]));
      assert.deepEqual(named, expected, how);
    }
  });

  test("carries the lines of the task where it was thrown, and none of the worker's own", async () => {
    const { stack = "" } = failureOf(await run("throws", "error"));
    const [title, first] = stack.split("\n");
    assert.equal(title, "RangeError: out of luck");
    assert.match(first ?? "", /tasks\/throws\.ts:\d+:\d+/);
    assert.doesNotMatch(stack, /pool\/worker\.ts|async_local_storage/);
  });

  test("a failure spoils neither its neighbours nor the thread", async () => {
    const ended = await pool.run([job("echo", 1), job("throws", "error"), job("echo", 2)]);
    assert.deepEqual(ended.map(shown), ["succeeded json 1", "failed task_failed", "succeeded json 2"]);
    assert.equal(pool.workers(), 1);
  });
});

describe("what comes back", () => {
  test("outcomes in the order of the leases, each with its own", async (t) => {
    const { pool } = tryPool(t, { maxWorkers: 2, takesBack: false });
    const leases = Array.from({ length: 128 }, (_, index) => job("echo", index));
    const ended = await pool.run(leases);
    assert.deepEqual(
      ended.map(({ lease }) => lease),
      leases,
    );
    assert.deepEqual(
      ended.map(shown),
      leases.map((_, index) => `succeeded json ${index}`),
    );
  });

  test("times: milliseconds since 1970 with their fraction, and the duration that lies between them", async () => {
    const ended = await pool.run([job("echo", 1), job("echo", 2), job("echo", 3)]);
    assert.ok(ended.some(({ startedAt }) => !Number.isInteger(startedAt)));
    for (const { startedAt, finishedAt, tookMs } of ended) {
      assert.ok(startedAt > Date.UTC(2020) && tookMs > 0);
      assert.equal(finishedAt, startedAt + tookMs);
    }
  });

  test("a job that cannot be sent to a thread is lost; nothing is rejected and the thread goes on", async (t) => {
    const { pool, run } = tryPool(t);
    const record = Object.defineProperty(new Uint8Array(), "length", { value: Number.MAX_SAFE_INTEGER });
    assert.deepEqual((await pool.run([{ ...job("echo", 1), record }])).map(shown), ["lost"]);
    assert.equal(shown(await run("echo", 1)), "succeeded json 1");
    assert.equal(pool.workers(), 1);
  });

  test("the input is still there for a retry", async () => {
    const lease = job("echo", json("kept"));
    await pool.run([lease]);
    assert.equal(Buffer.from(inputOf(lease)?.bytes ?? []).toString(), `"kept"`);
  });
});
