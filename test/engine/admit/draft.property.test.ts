import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { createDraftCheck, type Draft } from "../../../src/engine/admit/draft.ts";
import type { GivenInput } from "../../../src/engine/admit/input.ts";
import { MillpondError } from "../../../src/errors.ts";
import { SleepInputSchema } from "../../../src/gen/millpond/tasks/v1/diagnostic_pb.ts";
import type { JsonValue } from "../../../src/job/job.ts";
import { decodeJob, encodeJob } from "../../../src/job/record.ts";
import { nextId, t0 } from "../../store/sample.ts";
import { loaded } from "../../support/samples.ts";

const tasks = new Map([
  ["echo", loaded("echo")],
  ["sleep", loaded("sleep", { input: SleepInputSchema })],
]);
const check = createDraftCheck(() => tasks, 200, nextId);

/** Numbers as they come off the wire: good ones, bounds, and what no one would send. */
const number = fc.oneof(
  fc.integer({ min: -200, max: 200 }),
  fc.constantFrom(0, 1, 100, 101, 31_536_000_000, 31_536_000_001, t0, t0 + 1, Number.NaN, -1),
  fc.double().map((value) => value + 0), // JSON has no -0
);
const text = fc.oneof(fc.string({ maxLength: 8 }), fc.string({ unit: "binary", maxLength: 300 }), fc.constant(""));
const json = fc.jsonValue({ maxDepth: 3 }) as fc.Arbitrary<JsonValue>;
const bytes = fc.uint8Array({ maxLength: 300 });
const input: fc.Arbitrary<GivenInput> = fc.oneof(
  fc.constant(null),
  fc.record({ kind: fc.constant("json" as const), value: json }),
  fc.record({ kind: fc.constant("data" as const), bytes }),
  fc.record({ kind: fc.constant("message" as const), type: fc.constantFrom(SleepInputSchema.typeName, "a.B"), bytes }),
  fc.record({ kind: fc.constant("unreadable" as const), why: fc.constant("cannot be NaN") }),
);
/** Most fields are good, or hardly any job would be taken. */
const mostly = <T>(good: fc.Arbitrary<T>, any: fc.Arbitrary<T>): fc.Arbitrary<T> =>
  fc.oneof({ weight: 15, arbitrary: good }, { weight: 1, arbitrary: any });
const whole = (min: number, max: number) => mostly(fc.integer({ min, max }), number);
const name = mostly(fc.stringMatching(/^[A-Za-z0-9]{0,9}$/), text);
const yearMs = 31_536_000_000;

const retry: fc.Arbitrary<Draft["retry"]> = fc.record(
  {
    ...{ maxAttempts: whole(1, 100), baseMs: whole(0, yearMs), factor: whole(1, 100), maxBackoffMs: whole(0, yearMs) },
    jitter: fc.constantFrom("full" as const, "none" as const),
  },
  { requiredKeys: [] },
);
const start: fc.Arbitrary<Draft["start"]> = fc.oneof(
  fc.constant(null),
  fc.record({ at: whole(0, t0 + yearMs) }),
  fc.record({ delayMs: whole(0, yearMs) }),
);
const anyDraft: fc.Arbitrary<Draft> = fc.record({
  ...{ input, start, retry, channel: name, idempotencyKey: name, priority: whole(-100, 100) },
  id: mostly(fc.constantFrom("", "0198a3b4-0000-7000-8000-00000000000a"), text),
  task: fc.constantFrom("echo", "echo", "sleep", "constructor"),
  expiresAt: fc.option(whole(t0, t0 + 2 * yearMs)),
  timeoutMs: fc.option(whole(1, 3_600_000)),
  labels: mostly(fc.dictionary(fc.stringMatching(/^[a-z/]{1,9}$/), name), fc.dictionary(text, text, { maxKeys: 20 })),
  memo: fc.constantFrom("", "", "who asked", "x".repeat(1_025)),
  discardResult: fc.boolean(),
  trace: fc.constant(null),
});

test("whatever a client describes is either taken within all bounds or refused by the paths of its fields", () => {
  const seen = { taken: 0, refused: 0 };
  fc.assert(
    fc.property(anyDraft, (draft) => {
      const checked = check(draft, { client: "ada", now: t0 });
      if (checked instanceof MillpondError) {
        seen.refused += 1;
        assert.match(checked.reason, /^(invalid_argument|unknown_task|input_too_large)$/);
        assert.equal(checked.violations.length > 0, checked.reason === "invalid_argument");
        for (const { field, description } of checked.violations) {
          assert.match(field, /^[a-z_]+(?:\.|\[|$)/);
          assert.ok(description.length > 0 && description.length < 1_000);
        }
        return;
      }
      seen.taken += 1;
      const { job } = checked;
      const { runAt, maxAttempts, labels, retry } = job;
      assert.ok(Number.isInteger(maxAttempts) && maxAttempts >= 1 && maxAttempts <= 100);
      assert.ok(runAt >= t0 && runAt <= t0 + yearMs);
      const isNamed = draft.id !== "" || draft.idempotencyKey !== ""; // then the store says whether it is late
      assert.ok(draft.expiresAt === null || isNamed || draft.expiresAt > runAt);
      assert.ok(retry === null || Object.keys(retry).length > 0);
      assert.deepEqual(decodeJob(encodeJob(job)), { ...job, labels: { ...labels }, inputDigest: null });
    }),
    { numRuns: 2_000 },
  );
  assert.ok(seen.taken > 100 && seen.refused > 100, JSON.stringify(seen));
});
