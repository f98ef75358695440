import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { create, fromBinary, fromJson, type JsonValue, toBinary, toJson } from "@bufbuild/protobuf";
import { durationMs, timestampMs, ValueSchema } from "@bufbuild/protobuf/wkt";
import fc from "fast-check";
import { invalid, refusal } from "../../src/errors.ts";
import {
  AttemptOutcome,
  DeadReason,
  JobSchema,
  JobSpecSchema,
  JobState,
  ResultSchema,
  RetryPolicy_Jitter as Jitter,
} from "../../src/gen/millpond/v1/job_pb.ts";
import type { Payload, StoredJob, StoredResult } from "../../src/job/job.ts";
import { fromJob, fromWholeJob, toDraft } from "../../src/rpc/convert/job.ts";
import { fromAdmitted } from "../../src/rpc/convert/receipt.ts";
import { fromResult, resultOf } from "../../src/rpc/convert/result.ts";
import { fromOutcome, toDeadReason, toState } from "../../src/rpc/convert/state.ts";
import { durationFromMs, durationToMs, timestampToMs } from "../../src/rpc/convert/time.ts";

const result: StoredResult = {
  cursor: 7,
  id: "0198a3b4-0000-7000-8000-00000000000a",
  task: "echo",
  state: "SUCCEEDED",
  output: null,
  failure: null,
  deadReason: null,
  attempts: 2,
  redrives: 0,
  labels: {},
  submittedAt: 1_790_000_000_001,
  startedAt: 1_790_000_000_002,
  finishedAt: 1_790_000_000_003,
};
const failure = { reason: "busy", message: "later", retryable: true, retryAfterMs: 5, details: { a: [1] } };

/** Through the wire and back. */
const sent = (stored: StoredResult) => fromBinary(ResultSchema, toBinary(ResultSchema, fromResult(stored)));

/** The content of an input as a draft has it. */
function inputOf(content: Parameters<typeof create<typeof JobSpecSchema>>[1] & object) {
  return toDraft(create(JobSpecSchema, content), "results", null).input;
}

describe("a job on its way in", () => {
  test("keeps its names, and gets the stream's channel when it names none", () => {
    const spec = create(JobSpecSchema, { id: "i", task: "t" });
    assert.deepEqual(toDraft(spec, "results", null), {
      ...{ id: "i", task: "t", channel: "results", input: null, idempotencyKey: "", priority: 0, start: null },
      ...{ expiresAt: null, timeoutMs: null, retry: {}, labels: {}, memo: "", discardResult: false, trace: null },
    });
    assert.equal(toDraft(create(JobSpecSchema, { channel: "own" }), "results", null).channel, "own");
  });

  test("may bring a message, by the last part of its type's address", () => {
    for (const typeUrl of ["type.googleapis.com/a.b.C", "example.com/x/a.b.C", "a.b.C"]) {
      const value = new Uint8Array([1]);
      const input = inputOf({ input: { content: { case: "message", value: { typeUrl, value } } } });
      assert.deepEqual(input, { kind: "message", type: "a.b.C", bytes: value });
    }
  });

  test("may bring bytes, or a payload with nothing in it", () => {
    const bytes = new Uint8Array([1, 2]);
    assert.deepEqual(inputOf({ input: { content: { case: "data", value: bytes } } }), { kind: "data", bytes });
    assert.equal(inputOf({ input: {} }), null);
  });

  test("any JSON comes out as it went in", () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 5 }), (value) => {
        const json = JSON.parse(JSON.stringify(value)) as JsonValue;
        const wire = fromBinary(ValueSchema, toBinary(ValueSchema, fromJson(ValueSchema, json)));
        const input = inputOf({ input: { content: { case: "json", value: wire } } });
        assert.ok(input?.kind === "json");
        assert.equal(JSON.stringify(input.value), JSON.stringify(toJson(ValueSchema, fromJson(ValueSchema, json))));
        assert.deepEqual(input.value, json);
      }),
    );
  });

  test("a key `__proto__` is a key", () => {
    const json = JSON.parse(`{"__proto__":{"isAdmin":true},"b":1}`) as JsonValue;
    const wire = fromBinary(ValueSchema, toBinary(ValueSchema, fromJson(ValueSchema, json)));
    const input = inputOf({ input: { content: { case: "json", value: wire } } });
    assert.equal(JSON.stringify(input?.kind === "json" && input.value), JSON.stringify(json));
  });

  for (const [what, value] of [
    ["NaN", create(ValueSchema, { kind: { case: "numberValue", value: Number.NaN } })],
    ["Infinity", create(ValueSchema, { kind: { case: "numberValue", value: Number.POSITIVE_INFINITY } })],
    ["a value without a kind", create(ValueSchema)],
  ] as const) {
    test(`${what} is unreadable, and only that job's fault`, () => {
      assert.equal(inputOf({ input: { content: { case: "json", value } } })?.kind, "unreadable");
    });
  }
});

describe("a result on its way out", () => {
  test("keeps its numbers and times", () => {
    const { cursor, jobId, task, state, attempts, submittedAt, startedAt, finishedAt } = sent(result);
    assert.deepEqual(
      { cursor, jobId, task, state, attempts },
      {
        ...{ cursor: 7n, jobId: result.id, task: "echo", state: JobState.SUCCEEDED, attempts: 2 },
      },
    );
    const times = [submittedAt, startedAt, finishedAt].map((at) => at && timestampMs(at));
    assert.deepEqual(times, [result.submittedAt, result.startedAt, result.finishedAt]);
  });

  test("of a job that never ran has no start", () => {
    assert.equal(sent({ ...result, state: "CANCELLED", startedAt: null, failure }).startedAt, undefined);
  });

  test("carries its output in the form it was given", () => {
    const outputOf = (output: Payload) => sent({ ...result, output }).output?.content;
    const bytes = new Uint8Array([1, 2, 3]);
    assert.deepEqual(outputOf({ kind: "data", type: "", bytes }), { case: "data", value: bytes });
    const message = outputOf({ kind: "message", type: "a.B", bytes });
    assert.ok(message?.case === "message");
    assert.equal(message.value.typeUrl, "type.googleapis.com/a.B");
    assert.deepEqual(message.value.value, bytes);
    const json = outputOf({ kind: "json", type: "", bytes: new TextEncoder().encode(`{"a":[1,null,"ü"]}`) });
    assert.ok(json?.case === "json");
    assert.deepEqual(toJson(ValueSchema, json.value), { a: [1, null, "ü"] });
  });

  test("carries a failure unless it succeeded: one of an earlier attempt is over", () => {
    const dead = sent({ ...result, state: "DEAD", failure });
    assert.deepEqual(dead.failure?.details, { a: [1] });
    assert.equal(dead.failure.reason, "busy");
    assert.equal(dead.failure.retryable, true);
    assert.equal(sent({ ...result, failure }).failure, undefined);
  });
});

const stored: StoredJob = {
  ...{ seq: 1, id: result.id, client: "ada", task: "echo", pool: "cpu", channel: "default" },
  ...{
    state: "RUNNING",
    attempts: 1,
    maxAttempts: 4,
    crashes: 0,
    submittedAt: 1,
    runAt: 2,
    startedAt: 3,
    finishedAt: null,
  },
  ...{
    isCancelling: false,
    priority: 0,
    expiresAt: null,
    idempotencyKey: null,
    labels: {},
    memo: "",
    timeoutMs: null,
    redrives: 0,
  },
  ...{ output: null, failure: null, deadReason: null, cursor: null },
};

describe("a job as it stands", () => {
  const progress = { fraction: 0.5, note: "half" };

  test("shows progress only while it runs", () => {
    assert.equal(fromJob(stored, { progress }).progress?.fraction, 0.5);
    assert.equal(fromJob({ ...stored, state: "QUEUED" }, { progress }).progress, undefined);
  });

  test("shows the last failure only while it waits for another attempt", () => {
    assert.equal(fromJob({ ...stored, state: "QUEUED", failure }, {}).lastFailure?.reason, "busy");
    assert.equal(fromJob({ ...stored, failure }, {}).lastFailure, undefined);
  });

  test("shows its result once it is final, with cursor 0 where none is known", () => {
    const final = fromJob({ ...stored, state: "DEAD", failure, finishedAt: 9, cursor: 4 }, { progress });
    assert.equal(final.result?.cursor, 4n);
    assert.equal(final.result.failure?.reason, "busy");
    assert.equal(final.progress, undefined);
    assert.equal(fromJob({ ...stored, state: "DEAD", failure, finishedAt: 9 }, {}).result?.cursor, 0n);
    assert.equal(fromJob(stored, {}).result, undefined);
  });

  test("can be put on the wire in every state", () => {
    for (const state of ["QUEUED", "RUNNING", "SUCCEEDED", "DEAD", "CANCELLED"] as const) {
      const wire = fromBinary(
        JobSchema,
        toBinary(JobSchema, fromJob({ ...stored, state, finishedAt: 9 }, { progress })),
      );
      assert.equal(toState(wire.state), state);
    }
    assert.equal(toState(JobState.UNSPECIFIED), null);
  });
});

describe("a whole job", () => {
  const bytes = (size: number) => ({ kind: "data" as const, type: "", bytes: new Uint8Array(size) });
  const past = (attempt: number) => ({
    ...{ attempt, outcome: "timed_out" as const, failure, startedAt: null, finishedAt: attempt },
  });
  const whole = {
    ...stored,
    ...{ state: "SUCCEEDED" as const, finishedAt: 9, input: bytes(3), output: bytes(4), history: [past(1), past(2)] },
  };
  const show = (withInput: boolean, messageBytes = 10_000) =>
    fromWholeJob(whole, {}, { withInput, messageBytes, values: 20_000 });

  test("shows its input in place of its output when that is asked for", () => {
    assert.equal(show(false).input, undefined);
    assert.equal(show(false).result?.output?.content.case, "data");
    assert.equal(show(true).input?.content.case, "data");
    assert.equal(show(true).result?.output, undefined);
  });

  test("shows the attempts that did not succeed, the newest of them when not all fit", () => {
    const shown = show(false).history;
    assert.deepEqual(
      shown.map(({ number, outcome, startedAt }) => [number, outcome, startedAt]),
      [1, 2].map((number) => [number, AttemptOutcome.TIMED_OUT, undefined]),
    );
    const sizeOf = (job: ReturnType<typeof show>) => toBinary(JobSchema, job).length;
    const none = sizeOf(show(false, 0));
    const bound = none + 64 + (sizeOf(show(false)) - none) / 2 + 8; // beside what surrounds the job there is room for one
    const few = show(false, bound);
    assert.deepEqual(
      few.history.map(({ number }) => number),
      [2],
    );
    assert.ok(sizeOf(few) <= bound);
  });

  test("shows fewer attempts when their details have many values, but some beside any output", () => {
    const details = { list: Array<number>(1_500).fill(1) };
    const attempts = [1, 2, 3, 4].map((attempt) => ({ ...past(attempt), failure: { ...failure, details } }));
    const output = { kind: "json" as const, type: "", bytes: Buffer.from(JSON.stringify(Array(2_000).fill(1))) };
    const numbers = (values: number) =>
      fromWholeJob(
        { ...whole, output, history: attempts },
        {},
        { withInput: false, messageBytes: 1e6, values },
      ).history.map(({ number }) => number);
    assert.deepEqual(numbers(20_000), [1, 2, 3, 4]);
    assert.deepEqual(numbers(2_000 + 2 * 1_600), [3, 4]);
    assert.deepEqual(numbers(2_000), [4]);
  });

  test("of a job that is not final there is no result", () => {
    assert.equal(resultOf(stored), null);
    assert.equal(resultOf(whole)?.state, "SUCCEEDED");
  });
});

describe("the words of the protocol", () => {
  test("are refused where there is no such number, with the field's path", () => {
    assert.equal(toDeadReason(DeadReason.POISON, "filter.dead_reason"), "poison");
    assert.equal(toDeadReason(DeadReason.UNSPECIFIED, "filter.dead_reason"), null);
    assert.throws(() => toDeadReason(99 as DeadReason, "filter.dead_reason"), {
      violations: [{ field: "filter.dead_reason", description: "99 is not a reason: there are 1 to 4" }],
    });
    assert.throws(() => toState(9 as JobState), { reason: "invalid_argument" });
  });

  test("there is one for every outcome that leaves a line", () => {
    for (const kind of ["failed", "timed_out", "cancelled", "lost", "expired"] as const) {
      assert.notEqual(fromOutcome(kind), AttemptOutcome.UNSPECIFIED);
    }
  });
});

describe("a receipt", () => {
  test("is an id, the id it repeats, or a refusal with its advice", () => {
    const accepted = fromAdmitted({ kind: "accepted", id: "i", channel: "c" });
    assert.deepEqual(accepted.receipt, { case: "jobId", value: "i" });
    const repeated = fromAdmitted({ kind: "duplicate", id: "i", channel: "c", finalCursor: 1 });
    assert.deepEqual(repeated.receipt, { case: "duplicateOf", value: "i" });
    const full = fromAdmitted({
      kind: "refused",
      error: refusal("queue_full", ["p", 1, 1, 1500], { retryAfterMs: 1500 }),
    });
    assert.ok(full.receipt.case === "refusal");
    assert.equal(full.receipt.value.reason, "queue_full");
    assert.equal(full.receipt.value.retryAfter && durationMs(full.receipt.value.retryAfter), 1500);
    const bad = fromAdmitted({ kind: "refused", error: invalid([{ field: "input.width", description: "too wide" }]) });
    assert.ok(bad.receipt.case === "refusal");
    assert.equal(bad.receipt.value.retryAfter, undefined);
    assert.equal(bad.receipt.value.fieldViolations[0]?.field, "input.width");
  });
});

describe("times and durations on their way in", () => {
  test("what is below a millisecond is rounded away from zero, for durations, and up, for times", () => {
    for (const [seconds, nanos, ms] of [
      [0n, 1, 1],
      [0n, -1, -1],
      [-1n, -500_000_000, -1500],
      [1n, 1_000_000, 1001],
      [2n, 0, 2000],
    ] as const) {
      assert.equal(durationToMs({ seconds, nanos }), ms);
    }
    assert.equal(timestampToMs({ seconds: 1n, nanos: 1 }), 1001);
    assert.equal(timestampToMs({ seconds: -1n, nanos: 999_000_000 }), -1);
  });

  test("what is none is not a number, so that no bound lets it pass", () => {
    for (const [seconds, nanos] of [
      [1n, -1],
      [-1n, 1],
      [0n, 1_000_000_000],
    ] as const) {
      assert.ok(Number.isNaN(durationToMs({ seconds, nanos })), `${seconds} s ${nanos} ns`);
    }
    for (const [seconds, nanos] of [
      [253_402_300_800n, 0],
      [-62_135_596_801n, 0],
      [0n, -1],
      [0n, 1_000_000_000],
    ] as const) {
      assert.ok(Number.isNaN(timestampToMs({ seconds, nanos })), `${seconds} s ${nanos} ns`);
    }
  });

  test("a job's own options come as milliseconds", () => {
    const spec = create(JobSpecSchema, {
      ...{ task: "t", priority: -3, idempotencyKey: "invoice-1", labels: { a: "b" }, discardResult: true },
      start: { case: "delay", value: { seconds: 2n } },
      expiresAt: { seconds: 9n },
      timeout: { nanos: 5_000_000 },
      retry: { maxAttempts: 7, base: { seconds: 1n }, factor: 3, maxBackoff: { seconds: 4n }, jitter: Jitter.NONE },
    });
    const { start, expiresAt, timeoutMs, retry, priority, labels, discardResult, idempotencyKey } = toDraft(
      spec,
      "c",
      null,
    );
    assert.deepEqual([start, expiresAt, timeoutMs], [{ delayMs: 2000 }, 9000, 5]);
    assert.deepEqual(retry, { maxAttempts: 7, baseMs: 1000, factor: 3, maxBackoffMs: 4000, jitter: "none" });
    assert.deepEqual([priority, labels, discardResult, idempotencyKey], [-3, { a: "b" }, true, "invoice-1"]);
    const at = create(JobSpecSchema, { start: { case: "runAt", value: { seconds: 2n } }, retry: {} });
    assert.deepEqual([toDraft(at, "c", null).start, toDraft(at, "c", null).retry], [{ at: 2000 }, {}]);
  });
});

test("a duration is exact to the microsecond, in bounds, and never negative", () => {
  assert.deepEqual(durationFromMs(1500), { seconds: 1n, nanos: 500_000_000 });
  assert.deepEqual(durationFromMs(-3), { seconds: 0n, nanos: 0 });
  fc.assert(
    fc.property(fc.double({ min: -1e6, max: 1e13, noNaN: true }), (ms) => {
      const { seconds, nanos } = durationFromMs(ms);
      assert.ok(Number.isInteger(nanos) && nanos >= 0 && nanos < 1e9);
      assert.ok(Math.abs(Number(seconds) * 1000 + nanos / 1e6 - Math.max(ms, 0)) < 0.005);
    }),
  );
});
