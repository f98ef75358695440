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
  const reason = new Error("told to stop");
  const controller = new AbortController();
  const sleeping = sleep.run(hour, fakeContext(undefined, controller.signal));

  controller.abort(reason);

  await assert.rejects(async () => sleeping, reason);
  await assert.rejects(async () => sleep.run(hour, fakeContext(undefined, controller.signal)), reason);
});

test("sleep refuses more than an hour", () => {
  const check = (durationMs: number) => sleep.check?.(create(SleepInputSchema, { durationMs }), undefined);

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
    message: "failed as it was asked to",
    retryable: false,
    details: undefined,
  };
  assert.throws(() => fail.run(create(FailInputSchema), fakeContext(undefined)), expected);
});

test("fail refuses a reason that is no stable word, and a message that is too long", () => {
  const check = (input: { reason?: string; message?: string }) =>
    fail.check?.(create(FailInputSchema, input), undefined).map(({ field }) => field);

  assert.deepEqual(check({ reason: "a".repeat(64), message: "b".repeat(4096) }), []);
  assert.deepEqual(check({ reason: "No Room", message: "b".repeat(4097) }), ["reason", "message"]);
});
