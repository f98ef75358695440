/** Every field of a job: what is at its limit is taken, what is one beyond is refused by its path and its bound. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { createDraftCheck, type Draft } from "../../../src/engine/admit/draft.ts";
import { MillpondError } from "../../../src/errors.ts";
import type { NewJob } from "../../../src/job/job.ts";
import { t0 } from "../../store/sample.ts";
import { loaded } from "../../support/samples.ts";
import { draft } from "./try-admission.ts";

const yearMs = 365 * 24 * 3_600_000;
const ceilingMs = 60_000;
const echo = { ...loaded("echo"), timeoutMs: ceilingMs };
const check = createDraftCheck(
  () => new Map([["echo", echo]]),
  100,
  () => "made",
);

const origin = { client: "ada", now: t0 };

function taken(overrides: Partial<Draft>): NewJob {
  const checked = check(draft(overrides), origin);
  if (checked instanceof MillpondError) throw checked;
  return checked.job;
}

/** What is refused, as `path: description`. */
function refused(overrides: Partial<Draft>): string[] {
  const error = check(draft(overrides), origin);
  assert.ok(error instanceof MillpondError, "it was taken");
  assert.equal(error.reason, "invalid_argument");
  return error.violations.map(({ field, description }) => `${field}: ${description}`);
}

const labels = (count: number) => Object.fromEntries(Array.from({ length: count }, (_, i) => [`label-${i}`, "x"]));

describe("taken at the limit", () => {
  const cases: readonly (readonly [what: string, Partial<Draft>])[] = [
    ["an id with capitals", { id: "0198A3B4-0000-7000-8000-00000000000A" }],
    ["a channel of 100 characters", { channel: "a".repeat(100) }],
    ["the lowest priority", { priority: -100 }],
    ["the highest priority", { priority: 100 }],
    ["a start a year ahead", { start: { at: t0 + yearMs } }],
    ["a start long ago", { start: { at: 0 } }],
    ["a start before 1970", { start: { at: -62_135_596_800_000 } }],
    ["no delay", { start: { delayMs: 0 } }],
    ["a delay of a year", { start: { delayMs: yearMs } }],
    ["a deadline in a millisecond", { expiresAt: t0 + 1 }],
    ["a deadline right behind the start", { start: { at: t0 + 500 }, expiresAt: t0 + 501 }],
    ["a deadline right behind the delay", { start: { delayMs: 500 }, expiresAt: t0 + 501 }],
    ["a deadline that is far away", { expiresAt: 253_402_300_799_999 }],
    ["the shortest timeout", { timeoutMs: 1 }],
    ["the task's own timeout", { timeoutMs: ceilingMs }],
    ["one attempt", { retry: { maxAttempts: 1 } }],
    ["100 attempts", { retry: { maxAttempts: 100 } }],
    ["retries at once", { retry: { baseMs: 0, maxBackoffMs: 0, factor: 1 } }],
    ["the slowest retries", { retry: { baseMs: yearMs, maxBackoffMs: yearMs, factor: 100, jitter: "none" } }],
    ["a key of one character", { idempotencyKey: "!" }],
    ["a key of 200 characters", { idempotencyKey: "~".repeat(200) }],
    ["a memo of 1024 characters", { memo: "x".repeat(1_024) }],
    ["16 labels", { labels: labels(16) }],
    ["a label's name of one character", { labels: { a: "" } }],
    ["a label's name of 63 characters", { labels: { [`Az09._/-${"a".repeat(55)}`]: "x" } }],
    ["a label's value of 200 characters", { labels: { a: "x".repeat(200) } }],
    ["a label's value of 200 characters of two units each", { labels: { a: "🦆".repeat(200) } }],
  ];
  for (const [what, overrides] of cases) test(what, () => void taken(overrides));
});

describe("refused beyond it", () => {
  const cases: readonly (readonly [what: string, Partial<Draft>, said: RegExp])[] = [
    ["the nil UUID", { id: "00000000-0000-0000-0000-000000000000" }, /^id: is the nil UUID, which names nothing/],
    ["a priority too low", { priority: -101 }, /^priority: is -101 and must be a whole number from -100 to 100$/],
    ["a priority too high", { priority: 101 }, /^priority: is 101 /],
    ["half a priority", { priority: 0.5 }, /^priority: is 0\.5 /],
    [
      "a start over a year ahead",
      { start: { at: t0 + yearMs + 1 } },
      /^run_at: is 2027-.* at most a year ahead, 2027-/,
    ],
    ["a start that is no time", { start: { at: Number.NaN } }, /^run_at: is no time and must be/],
    ["a start beyond all dates", { start: { at: 1e300 } }, /^run_at: is no time and must be/],
    ["a negative delay", { start: { delayMs: -1 } }, /^delay: is -1 ms and must be 0 to a year$/],
    ["a delay over a year", { start: { delayMs: yearMs + 1 } }, /^delay: is 31536000001 ms and must be 0 to a year$/],
    ["a delay that is none", { start: { delayMs: Number.NaN } }, /^delay: is no duration and must be/],
    ["a deadline of now", { expiresAt: t0 }, /^expires_at: is 2026-.* and must be in the future; it is 2026-/],
    ["a deadline that is no time", { expiresAt: Number.NaN }, /^expires_at: is no time and must be in the future/],
    [
      "a deadline at the start",
      { start: { at: t0 + 500 }, expiresAt: t0 + 500 },
      /^expires_at: .* must be after the job's start, 2026-/,
    ],
    [
      "a deadline within the delay",
      { start: { delayMs: 500 }, expiresAt: t0 + 499 },
      /^expires_at: .* after the job's/,
    ],
    ["no timeout at all", { timeoutMs: 0 }, /^timeout: is 0 ms and must be 1 ms to 60000 ms, which is the task's own/],
    ["a negative timeout", { timeoutMs: -1 }, /^timeout: is -1 ms /],
    ["a timeout above the task's", { timeoutMs: ceilingMs + 1 }, /^timeout: is 60001 ms and must be 1 ms to 60000 ms/],
    ["a timeout that is none", { timeoutMs: Number.NaN }, /^timeout: is no duration/],
    ["no attempt", { retry: { maxAttempts: 0 } }, /^retry\.max_attempts: is 0 and must be 1 to 100$/],
    ["101 attempts", { retry: { maxAttempts: 101 } }, /^retry\.max_attempts: is 101 /],
    ["a negative backoff", { retry: { baseMs: -1 } }, /^retry\.base: is -1 ms and must be 0 to a year$/],
    ["a backoff over a year", { retry: { baseMs: yearMs + 1 } }, /^retry\.base: /],
    ["a factor below 1", { retry: { factor: 0.999 } }, /^retry\.factor: is 0\.999 and must be 1 to 100$/],
    ["a factor above 100", { retry: { factor: 100.1 } }, /^retry\.factor: is 100\.1 /],
    ["a factor that is no number", { retry: { factor: Number.NaN } }, /^retry\.factor: is NaN /],
    [
      "a jitter that is none",
      { retry: { jitter: 99 } },
      /^retry\.jitter: is 99 and must be JITTER_FULL \(1\) or JITTER_NONE/,
    ],
    ["a negative cap", { retry: { maxBackoffMs: -1 } }, /^retry\.max_backoff: is -1 ms /],
    ["a cap over a year", { retry: { maxBackoffMs: yearMs + 1 } }, /^retry\.max_backoff: .* 0 to a year$/],
    [
      "a key of 201 characters",
      { idempotencyKey: "k".repeat(201) },
      /^idempotency_key: "k+\.\.\." has 201 char.* 1 to 200/,
    ],
    ["a key with a space", { idempotencyKey: "a b" }, /^idempotency_key: "a b" .* visible ASCII/],
    ["a key with a line break", { idempotencyKey: "a\n" }, /^idempotency_key: "a\\n" /],
    ["half a character in a memo", { memo: "x\ud800" }, /^memo: has a lone surrogate/],
    ["half a character in a label", { labels: { a: "\udc00x" } }, /^labels\["a"\]: has a lone surrogate/],
    ["a memo of 1025 characters", { memo: "x".repeat(1_025) }, /^memo: has 1025 characters and may have 1024/],
    ["17 labels", { labels: labels(17) }, /^labels: are 17 and may be 16/],
    ["a label's empty name", { labels: { "": "x" } }, /^labels\[""\]: is not named with 1 to 63 characters/],
    ["a label's name of 64 characters", { labels: { ["a".repeat(64)]: "x" } }, /^labels\["a{64}"\]: is not named/],
    [
      "a label's name with a space",
      { labels: { "a b": "x" } },
      /^labels\["a b"\]: is not named .* \[A-Za-z0-9\._\/-\]$/,
    ],
    [
      "a label's value of 201 characters",
      { labels: { a: "x".repeat(201) } },
      /^labels\["a"\]: has 201 .* limit is 200/,
    ],
  ];
  for (const [what, overrides, said] of cases) {
    test(what, () => {
      const [only = "", ...others] = refused(overrides);
      assert.match(only, said);
      assert.deepEqual(others, []);
    });
  }

  test("everything that is wrong with a job is told at once, and no more of it than a message bears", () => {
    const long = "x".repeat(100_000);
    const found = refused({
      ...{ id: long, channel: long, idempotencyKey: long, priority: 101, timeoutMs: 0 },
      ...{ start: { delayMs: -1 }, retry: { maxAttempts: 0, factor: 0 }, labels: { [long]: long } },
    });
    const fields = found.map((line) => line.slice(0, line.indexOf(":")));
    const paths = ["id", "channel", "idempotency_key", "priority", "delay", "timeout"];
    const label = `labels["${"x".repeat(64)}..."]`;
    const all = [...paths, "retry.max_attempts", "retry.factor", label, label];
    assert.deepEqual(fields.toSorted(), all.toSorted());
    assert.ok(found.join("").length < 2_000);
  });
});

const nothing = { labels: {}, timeoutMs: null, retry: null };

function wishesOf(overrides: Partial<Draft>) {
  const { labels, timeoutMs, retry } = taken(overrides);
  return { labels, timeoutMs, retry };
}

describe("a job that is taken", () => {
  test("asks for nothing special, as most do", () => {
    const { runAt, maxAttempts } = taken({});
    assert.deepEqual({ runAt, maxAttempts }, { runAt: t0, maxAttempts: 4 });
    assert.deepEqual(wishesOf({}), nothing);
  });

  test("starts at its time, after its delay, or at once when its time is over", () => {
    const runAt = (start: Draft["start"]) => taken({ start }).runAt - t0;
    assert.equal(runAt({ at: t0 + 70 }), 70);
    assert.equal(runAt({ delayMs: 70 }), 70);
    assert.equal(runAt({ at: t0 - 70 }), 0);
  });

  test("has its own attempts, or its task's", () => {
    assert.equal(taken({ retry: { maxAttempts: 9 } }).maxAttempts, 9);
    assert.equal(taken({ retry: { factor: 9 } }).maxAttempts, echo.retry.maxAttempts);
    assert.equal(taken({ retry: { maxAttempts: 9 } }).retry, null);
  });

  test("keeps what it asks for", () => {
    const asked = wishesOf({
      labels: { b: "2", a: "1" },
      timeoutMs: 5,
      retry: { jitter: "none", factor: 3, baseMs: 1, maxBackoffMs: 9, maxAttempts: 2 },
    });
    assert.deepEqual(asked, {
      labels: { a: "1", b: "2" },
      timeoutMs: 5,
      retry: { baseMs: 1, factor: 3, maxBackoffMs: 9, jitter: "none" },
    });
  });

  test("means the same whether it spells out its task's own ways or leaves them out", () => {
    const { maxAttempts, ...delays } = echo.retry;
    assert.deepEqual(wishesOf({ timeoutMs: echo.timeoutMs, retry: { maxAttempts, ...delays } }), nothing);
    assert.deepEqual(taken({ retry: { ...delays, factor: 3 } }).retry, { factor: 3 });
  });
});
