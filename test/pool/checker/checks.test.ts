import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { create, toBinary } from "@bufbuild/protobuf";
import { SleepInputSchema } from "../../../src/gen/millpond/tasks/v1/diagnostic_pb.ts";
import type { JsonValue, Payload } from "../../../src/job/job.ts";
import { answerTo, checkableOf, type Verdict, verdictOf } from "../../../src/pool/checker/checks.ts";
import { defineResource } from "../../../src/pool/resource.ts";
import type { AnyTask } from "../../../src/pool/task.ts";

const json = (value: JsonValue): Payload => ({
  kind: "json",
  type: "",
  bytes: new TextEncoder().encode(JSON.stringify(value)),
});

/** The verdict of a check on an input, 1 unless it is given. */
async function verdict(
  check: (...args: never[]) => unknown,
  more: Partial<AnyTask> = {},
  input: Payload | null = json(1),
) {
  const task = { name: "a", pool: "cpu", run: () => null, check, ...more } as AnyTask;
  return verdictOf(await checkableOf(task, { settings: { max: 5 }, resources: [] }), input);
}

suite("a task's own check", () => {
  test("sees the message, with the fields that JSON left out, and the settings", async () => {
    const bytes = toBinary(SleepInputSchema, create(SleepInputSchema));
    const seen: unknown[] = [];
    const check = (input: { durationMs: number }, settings: unknown) => void seen.push(input.durationMs, settings);
    const said = await verdict(check, { input: SleepInputSchema }, { kind: "message", type: "", bytes });
    assert.equal(said, undefined);
    assert.deepEqual(seen, [0, { max: 5 }]);
  });

  test("sees the settings of the task's resources, by the task's own names", async () => {
    const billing = defineResource({ name: "billing", setup: () => null });
    const seen: unknown[] = [];
    const check = (...[, , resources]: unknown[]) => {
      seen.push(resources);
      return [];
    };
    const task = { name: "a", pool: "cpu", run: () => null, check, resources: { bills: billing } } as AnyTask;
    const read = {
      settings: undefined,
      resources: [{ name: "billing", settings: { url: "x" }, permits: {}, hasProbe: false }],
    };
    verdictOf(await checkableOf(task, read), json(1));
    assert.deepEqual(seen, [{ bills: { url: "x" } }]);
  });

  test("sees JSON, bytes, or null for nothing, as `run` does", async () => {
    const seen: unknown[] = [];
    for (const input of [json({ a: [1] }), { kind: "data", type: "", bytes: new Uint8Array([7]) } as const, null]) {
      await verdict((given: unknown) => void seen.push(given), {}, input);
    }
    assert.deepEqual(seen, [{ a: [1] }, new Uint8Array([7]), null]);
  });

  for (const [what, check] of [
    ["nothing", () => undefined],
    ["null", () => null],
    ["an empty list", () => []],
  ] as const) {
    test(`that returns ${what} finds nothing wrong`, async () => assert.equal(await verdict(check), undefined));
  }

  test("that throws an Error refuses the input with what it said", async () => {
    const check = () => {
      throw new RangeError("cannot tell");
    };
    assert.deepEqual(await verdict(check), [{ field: "", description: "cannot tell" }]);
  });

  const fails: readonly (readonly [what: string, check: () => unknown, said: RegExp])[] = [
    [
      "throws undefined",
      () => {
        throw undefined;
      },
      /^it threw undefined, which is not an Error$/,
    ], // prettier-ignore
    [
      "throws a text",
      () => {
        throw "no";
      },
      /^it threw no, which is not an Error$/,
    ],
    [
      "returns a Promise",
      async () => {
        throw new Error("late");
      },
      /^it returned a Promise: write it without `async`$/,
    ],
    [
      "returns texts",
      () => ["width is wrong"],
      /^it returned \[ 'width is wrong' \] and must return a list of \{field, desc/,
    ],
    ["returns a text", () => "wrong", /^it returned 'wrong' and must return a list/],
    ["returns false", () => false, /^it returned false and must return a list/],
    ["returns null within its list", () => [null], /^it returned \[ null \] and must/],
    ["returns a field that is none", () => [{ field: 1, description: "x" }], /and must return a list/],
    ["returns what is no JSON", () => [1n], /and must return a list/],
    [
      "returns what cannot be read",
      () => [
        new Proxy(
          {},
          {
            get() {
              throw new Error("trap");
            },
          },
        ),
      ],
      /trap|must return a list/,
    ],
  ];
  for (const [what, check, said] of fails) {
    test(`that ${what} has failed, and the message says how`, async () => {
      const found = await verdict(check);
      const text = typeof found === "string" ? found : JSON.stringify(found);
      assert.match(text, said);
    });
  }

  test("that says very much is cut, so that a refusal fits in a message", async () => {
    const found = await verdict(() =>
      Array.from({ length: 5_000 }, () => ({ field: "f".repeat(500), description: "d".repeat(5_000) })),
    );
    assert.ok(JSON.stringify(found).length < 30_000);
  });
});

test("a verdict is the refusal of the job: paths start at the job, and a check that failed has a reason of its own", () => {
  const shown = (verdict: Verdict | undefined) => {
    const error = answerTo("a", verdict);
    return error && [error.reason, ...error.violations.map(({ field, description }) => `${field}: ${description}`)];
  };
  const violations = [
    { field: "width", description: "too wide" },
    { field: "", description: "odd" },
  ];
  assert.deepEqual(shown(violations), ["invalid_argument", "input.width: too wide", "input: odd"]);
  assert.deepEqual(shown("it returned false"), ["check_failed"]);
  assert.equal(shown(undefined), null);
});
