import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { RetryPolicy } from "../../src/job/backoff.ts";
import { isFinal, type Outcome, type Settlement, suspectAfterCrashes } from "../../src/job/job.ts";
import { type Attempted, transition } from "../../src/job/transition.ts";

const policy: RetryPolicy = { maxAttempts: 3, baseMs: 100, factor: 2, maxBackoffMs: 5000, jitter: "none" };
const span = { startedAt: 1000, finishedAt: 1500 };
const output = { kind: "data" as const, type: "", bytes: new Uint8Array([1]) };
const retryable: Outcome = { kind: "failed", failure: { reason: "busy", message: "later", retryable: true } };
const permanent: Outcome = { kind: "failed", failure: { reason: "broken", message: "never", retryable: false } };

function settle(outcome: Outcome, attempt: number, more: Partial<Attempted> = {}): Settlement {
  const job = {
    ...{ id: "j", client: "ada", pool: "cpu", channel: null },
    seq: 7,
    attempt,
    fence: 9,
    crashes: 0,
    maxAttempts: 3,
    expiresAt: null,
    startedAt: null,
    isCancelling: false,
    ...more,
  };
  return transition(job, outcome, policy, span, () => 0.5);
}

/** One row of the table: the outcome, then what becomes of attempts 1 (some left) and 3 (none left). */
const table: readonly (readonly [name: string, outcome: Outcome, left: string, none: string])[] = [
  ["succeeded", { kind: "succeeded", output }, "SUCCEEDED", "SUCCEEDED"],
  ["failed, retryable", retryable, "QUEUED after 100, attempt 1", "DEAD exhausted"],
  ["timed_out", { kind: "timed_out", timeoutMs: 50 }, "QUEUED after 100, attempt 1", "DEAD exhausted"],
  ["lost", { kind: "lost", died: null }, "QUEUED after 100, attempt 1", "DEAD exhausted"],
  ["lost with the server", { kind: "lost", died: "server" }, "QUEUED after 100, attempt 1", "DEAD exhausted"],
  ["lost with its own process", { kind: "lost", died: "own_process", how: "SIGSEGV" }, "DEAD poison", "DEAD poison"],
  ["failed, permanent", permanent, "DEAD permanent", "DEAD permanent"],
  ["released", { kind: "released" }, "QUEUED after 0, attempt 0", "QUEUED after 0, attempt 2"],
  ["cancelled", { kind: "cancelled" }, "CANCELLED", "CANCELLED"],
  ["expired while it ran", { kind: "expired", hasStarted: true }, "DEAD expired", "DEAD expired"],
  ["expired before it began", { kind: "expired", hasStarted: false }, "DEAD expired", "DEAD expired"],
];

function shown({ state, deadReason, runAt, attempt }: Settlement): string {
  if (!isFinal(state)) return `${state} after ${runAt - span.finishedAt}, attempt ${attempt}`;
  return deadReason === null ? state : `${state} ${deadReason}`;
}

/** Whether the attempt was counted. */
const hasRun = (outcome: Outcome) => outcome.kind !== "released" && (outcome.kind !== "expired" || outcome.hasStarted);

describe("the state machine, cell by cell", () => {
  for (const [name, outcome, left, none] of table) {
    test(`${name}: ${left} while attempts are left`, () => assert.equal(shown(settle(outcome, 1)), left));
    test(`${name}: ${none} when none is left`, () => assert.equal(shown(settle(outcome, 3)), none));
    test(`${name}: names the job, its fence, how the attempt ended and its times`, () => {
      const { seq, fence, outcome: kind, attempt, startedAt, finishedAt } = settle(outcome, 2);
      assert.deepEqual([seq, fence, kind, finishedAt], [7, 9, outcome.kind, span.finishedAt]);
      assert.equal(attempt, hasRun(outcome) ? 2 : 1);
      const isKnown = hasRun(outcome) && !(outcome.kind === "lost" && outcome.died !== "own_process");
      assert.equal(startedAt, isKnown ? span.startedAt : null);
    });
  }
});

describe("a job that was cancelled while it ran", () => {
  for (const [name, outcome] of table) {
    if (outcome.kind === "succeeded") continue;
    test(`and then ${name} is CANCELLED, whatever attempts are left`, () => {
      for (const attempt of [1, 3]) {
        const settled = settle(outcome, attempt, { isCancelling: true, crashes: suspectAfterCrashes });
        assert.deepEqual(
          [settled.state, settled.outcome, settled.deadReason, settled.failure?.reason],
          ["CANCELLED", "cancelled", null, "cancelled"],
        );
        assert.equal(settled.attempt, hasRun(outcome) ? attempt : attempt - 1);
      }
    });
  }

  test("and was lost with its process does not claim when it began", () => {
    const settled = settle({ kind: "lost", died: "server" }, 1, { isCancelling: true });
    assert.deepEqual([settled.attempt, settled.startedAt], [1, null]);
  });

  test("and succeeded first has its output", () => {
    const settled = settle({ kind: "succeeded", output }, 1, { isCancelling: true });
    assert.deepEqual([settled.state, settled.output, settled.failure], ["SUCCEEDED", output, null]);
  });
});

describe("a deadline", () => {
  test("that would have passed when the next attempt may start makes the job DEAD at once, for its last failure", () => {
    for (const outcome of [retryable, { kind: "timed_out", timeoutMs: 50 }, { kind: "lost", died: null }] as const) {
      const settled = settle(outcome, 1, { expiresAt: span.finishedAt + 100 });
      assert.deepEqual([settled.state, settled.deadReason], ["DEAD", "expired"]);
      assert.notEqual(settled.failure?.reason, "expired");
    }
  });

  test("that lies behind the next attempt's start changes nothing", () => {
    assert.equal(settle(retryable, 1, { expiresAt: span.finishedAt + 101 }).state, "QUEUED");
  });

  test("does not take a job from the queue that was only given back: whoever leases it settles it", () => {
    assert.equal(settle({ kind: "released" }, 1, { expiresAt: span.finishedAt - 1 }).state, "QUEUED");
  });

  test("says whether the attempt had begun", () => {
    const messages = [true, false].map((hasStarted) => settle({ kind: "expired", hasStarted }, 1).failure?.message);
    assert.deepEqual(messages, ["its deadline passed while it ran", "its deadline passed before it was started"]);
  });
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
    assert.equal(settle({ kind: "lost", died: null }, 1).failure?.reason, "lost");
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
  const withServer: Outcome = { kind: "lost", died: "server" };
  const alone: Outcome = { kind: "lost", died: "own_process", how: "SIGSEGV" };

  test("each death of a server counts for the jobs that ran in it, until they are suspects", () => {
    for (let crashes = 0; crashes < suspectAfterCrashes; crashes += 1) {
      const settled = settle(withServer, 1, { crashes });
      assert.deepEqual([settled.state, settled.crashes], ["QUEUED", crashes + 1]);
    }
  });

  test("no number of servers' deaths convicts a suspect: it does not run in them", () => {
    const settled = settle(withServer, 1, { crashes: suspectAfterCrashes });
    assert.deepEqual([settled.state, settled.crashes], ["QUEUED", suspectAfterCrashes]);
    assert.equal(settle(withServer, 3, { crashes: suspectAfterCrashes }).deadReason, "exhausted");
  });

  test("a suspect whose own process dies is dead, whatever attempts are left, and says how and when", () => {
    const settled = settle(alone, 1, { crashes: suspectAfterCrashes });
    assert.deepEqual([settled.state, settled.deadReason, settled.failure?.reason], ["DEAD", "poison", "poison"]);
    assert.deepEqual([settled.crashes, settled.startedAt], [suspectAfterCrashes + 1, span.startedAt]);
    assert.match(settled.failure?.message ?? "", /SIGSEGV/);
  });

  test("nothing else counts as a crash", () => {
    const deaths = ["lost with the server", "lost with its own process"];
    for (const [, outcome] of table.filter(([name]) => !deaths.includes(name))) {
      assert.equal(settle(outcome, 1, { crashes: 1 }).crashes, 1);
    }
  });

  test("a success after crashes is a success", () => {
    assert.equal(settle({ kind: "succeeded", output }, 1, { crashes: 2 }).state, "SUCCEEDED");
  });
});
