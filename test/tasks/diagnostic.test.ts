import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { FailInputSchema, SleepInputSchema } from "../../src/gen/millpond/tasks/v1/diagnostic_pb.ts";
import { isTask } from "../../src/pool/task.ts";
import echo from "../../src/tasks/echo.ts";
import fail from "../../src/tasks/fail.ts";
import sleep from "../../src/tasks/sleep.ts";
import { fakeContext } from "./run-resize.ts";

/** The clock's timers let the process end; a worker stays for its jobs, a test has to be kept. */
function stayAlive(t: TestContext): void {
  const timer = setInterval(() => undefined, 60_000);
  t.after(() => clearInterval(timer));
}

test("every one of them is a task", () => {
  assert.deepEqual([echo, fail, sleep].map(isTask), [true, true, true]);
});

test("echo returns what it was given: JSON, bytes, or nothing", () => {
  for (const input of [{ a: [1, "two"] }, Uint8Array.of(1, 2), null]) {
    assert.equal(echo.run(input, fakeContext(undefined)), input);
  }
});

test("sleep takes as long as it was told and says so", async (t) => {
  stayAlive(t);
  const startedAt = performance.now();

  const { sleptMs } = await sleep.run(create(SleepInputSchema, { durationMs: 20 }), fakeContext(undefined));

  const tookMs = performance.now() - startedAt;
  assert.ok(typeof sleptMs === "number" && sleptMs >= 19 && sleptMs <= tookMs, `${sleptMs} of ${tookMs}`);
});

test("sleep ends at once, with the signal's reason, when the signal aborts before or during it", async (t) => {
  stayAlive(t);
  const hour = create(SleepInputSchema, { durationMs: 3_600_000 });
  const reason = new Error("asked to stop");
  const controller = new AbortController();
  const sleeping = sleep.run(hour, fakeContext(undefined, controller.signal));

  controller.abort(reason);

  await assert.rejects(async () => sleeping, reason);
  await assert.rejects(async () => sleep.run(hour, fakeContext(undefined, controller.signal)), reason);
});

test("sleep refuses more than an hour", () => {
  const check = (durationMs: number) => sleep.check?.(create(SleepInputSchema, { durationMs }), undefined, {});

  assert.deepEqual(check(3_600_000), []);
  assert.deepEqual(
    check(3_600_001)?.map(({ field }) => field),
    ["durationMs"],
  );
});

test("fail fails in the way its input says", () => {
  const details = { tries: 3, host: "mail.example" };
  const input = create(FailInputSchema, { reason: "mailbox_full", message: "no room", retryable: true, details });

  const expected = { reason: "mailbox_full", message: "no room", retryable: true, details };
  assert.throws(() => fail.run(input, fakeContext(undefined)), expected);
});

test("fail has defaults: a permanent task_failed", () => {
  const expected = {
    reason: "task_failed",
    message: "failed as requested",
    retryable: false,
    details: undefined,
  };
  assert.throws(() => fail.run(create(FailInputSchema), fakeContext(undefined)), expected);
});

test("fail with `times` fails so many attempts in a way that is retried, and then gives back what it was given", () => {
  const details = { host: "mail.example" };
  const input = create(FailInputSchema, { reason: "busy", message: "no room", details, times: 2 });
  const attempt = (number: number) => fail.run(input, fakeContext(undefined, undefined, number));

  for (const number of [1, 2]) {
    assert.throws(() => attempt(number), { reason: "busy", message: "no room", retryable: true, details });
  }
  assert.deepEqual(attempt(3), { attempt: 3, message: "no room", details });
});

test("fail asks for a delay when its input does, also for none", () => {
  for (const retryAfterMs of [0, 1500, undefined]) {
    const input = create(FailInputSchema, { retryable: true, ...(retryAfterMs !== undefined && { retryAfterMs }) });
    assert.throws(() => fail.run(input, fakeContext(undefined)), { retryable: true, retryAfterMs });
  }
});

test("fail refuses a reason that is no stable word, a message that is too long, and more failures than attempts", () => {
  const check = (input: { reason?: string; message?: string; times?: number }) =>
    fail.check?.(create(FailInputSchema, input), undefined, {}).map(({ field }) => field);

  assert.deepEqual(check({ reason: "a".repeat(64), message: "b".repeat(4096), times: 100 }), []);
  const tooMuch = { reason: "No Room", message: "b".repeat(4097), times: 101 };
  assert.deepEqual(check(tooMuch), ["reason", "message", "times"]);
});
