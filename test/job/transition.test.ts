import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { RetryPolicy } from "../../src/job/backoff.ts";
import type { Outcome, Settlement } from "../../src/job/job.ts";
import { isFinal } from "../../src/job/job.ts";
import { poisonAfterCrashes, transition } from "../../src/job/transition.ts";

const policy: RetryPolicy = { maxAttempts: 3, baseMs: 100, factor: 2, maxBackoffMs: 5000, jitter: "none" };
const span = { startedAt: 1000, finishedAt: 1500 };
const output = { kind: "data" as const, type: "", bytes: new Uint8Array([1]) };
const retryable: Outcome = { kind: "failed", failure: { reason: "busy", message: "later", retryable: true } };
const permanent: Outcome = { kind: "failed", failure: { reason: "broken", message: "never", retryable: false } };

function settle(outcome: Outcome, attempt: number, crashes = 0): Settlement {
  return transition({ seq: 7, attempt, fence: 9, crashes, maxAttempts: 3 }, outcome, policy, span, () => 0.5);
}

/** One row of the table: the outcome, then what becomes of attempts 1 (some left) and 3 (none left). */
const table: readonly (readonly [name: string, outcome: Outcome, left: string, none: string])[] = [
  ["succeeded", { kind: "succeeded", output }, "SUCCEEDED", "SUCCEEDED"],
  ["failed, retryable", retryable, "QUEUED after 100, attempt 1", "DEAD"],
  ["timed_out", { kind: "timed_out", timeoutMs: 50 }, "QUEUED after 100, attempt 1", "DEAD"],
  ["lost", { kind: "lost", crashed: false }, "QUEUED after 100, attempt 1", "DEAD"],
  ["lost in a crash", { kind: "lost", crashed: true }, "QUEUED after 100, attempt 1", "DEAD"],
  ["failed, permanent", permanent, "DEAD", "DEAD"],
  ["released", { kind: "released" }, "QUEUED after 0, attempt 0", "QUEUED after 0, attempt 2"],
  ["cancelled", { kind: "cancelled" }, "CANCELLED", "CANCELLED"],
];

const shown = ({ state, runAt, attempt }: Settlement) =>
  isFinal(state) ? state : `${state} after ${runAt - span.finishedAt}, attempt ${attempt}`;

describe("the state machine, cell by cell", () => {
  for (const [name, outcome, left, none] of table) {
    test(`${name}: ${left} while attempts are left`, () => assert.equal(shown(settle(outcome, 1)), left));
    test(`${name}: ${none} when none is left`, () => assert.equal(shown(settle(outcome, 3)), none));
    test(`${name}: names the job, its fence and its times`, () => {
      const { seq, fence, startedAt, finishedAt } = settle(outcome, 1);
      assert.deepEqual({ seq, fence, startedAt, finishedAt }, { seq: 7, fence: 9, ...span });
    });
  }
});

describe("what a settlement carries", () => {
  test("an output when it succeeded, and no failure", () => {
    const { output: stored, failure } = settle({ kind: "succeeded", output }, 1);
    assert.equal(stored, output);
    assert.equal(failure, null);
  });

  test("the failure when it is retried and when it is dead, and no output", () => {
    for (const attempt of [1, 3]) {
      const settled = settle(retryable, attempt);
      assert.equal(settled.failure?.reason, "busy");
      assert.equal(settled.output, null);
    }
  });

  test("why, when Millpond ended it", () => {
    assert.equal(settle({ kind: "cancelled" }, 1).failure?.reason, "cancelled");
    assert.equal(settle({ kind: "lost", crashed: false }, 1).failure?.reason, "lost");
    const timedOut = settle({ kind: "timed_out", timeoutMs: 50 }, 3).failure;
    assert.equal(timedOut?.reason, "timed_out");
    assert.match(timedOut?.message ?? "", /50 ms/);
  });

  test("no failure when it was released: nothing went wrong", () => {
    assert.equal(settle({ kind: "released" }, 2).failure, null);
  });
});

describe("delays", () => {
  test("the task's own wish replaces the backoff, zero included", () => {
    for (const retryAfterMs of [0, 12_345]) {
      const outcome: Outcome = {
        kind: "failed",
        failure: { reason: "r", message: "m", retryable: true, retryAfterMs },
      };
      assert.equal(settle(outcome, 2).runAt, span.finishedAt + retryAfterMs);
    }
  });

  test("a wish does not revive what is permanent or used up", () => {
    const wish = { reason: "r", message: "m", retryAfterMs: 5 };
    assert.equal(settle({ kind: "failed", failure: { ...wish, retryable: false } }, 1).state, "DEAD");
    assert.equal(settle({ kind: "failed", failure: { ...wish, retryable: true } }, 3).state, "DEAD");
  });

  test("the second failure waits twice as long as the first", () => {
    assert.equal(settle(retryable, 2).runAt, span.finishedAt + 200);
  });
});

describe("poison", () => {
  const crashed: Outcome = { kind: "lost", crashed: true };

  test("a job that runs while its process dies for the third time is dead, whatever attempts are left", () => {
    const settled = settle(crashed, 1, poisonAfterCrashes - 1);
    assert.equal(settled.state, "DEAD");
    assert.equal(settled.failure?.reason, "poison");
    assert.equal(settled.crashes, poisonAfterCrashes);
  });

  test("the crash before that is counted and retried", () => {
    const settled = settle(crashed, 1, poisonAfterCrashes - 2);
    assert.equal(settled.state, "QUEUED");
    assert.equal(settled.crashes, poisonAfterCrashes - 1);
  });

  test("nothing else counts as a crash", () => {
    for (const [, outcome] of table.filter(([name]) => name !== "lost in a crash")) {
      assert.equal(settle(outcome, 1, 1).crashes, 1);
    }
  });

  test("a success after crashes is a success", () => {
    assert.equal(settle({ kind: "succeeded", output }, 1, 2).state, "SUCCEEDED");
  });
});
