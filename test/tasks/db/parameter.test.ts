import assert from "node:assert/strict";
import { test } from "node:test";
import type { JsonValue } from "../../../src/job/job.ts";
import { boundFor, faultOfValue, type Parameter, readParameter } from "../../../src/tasks/db/parameter.ts";

function declared(declaration: string): Parameter {
  const parameter = readParameter(declaration);
  assert.ok(parameter, declaration);
  return parameter;
}

const cases: readonly (readonly [string, readonly JsonValue[], readonly JsonValue[]])[] = [
  ["text", ["", "x"], [1, "a\0b", true, {}]],
  [
    "integer",
    [0, -5, "9223372036854775807", "-9223372036854775808"],
    [1.5, 9007199254740992, "9223372036854775808", "1e3", "", "x"],
  ],
  ["number", [1.5, -0], ["1.5", true]],
  ["numeric", [1.5, "12.30", "-1e-7", "123456789012345678901234567890.5"], ["", "x", "1.", "NaN", "1".repeat(1001)]],
  ["boolean", [true, false], [0, "true"]],
  ["bytes", ["", "AP8=", "AP8", "_-8="], ["a", "AP8==", "ä", 1]],
  [
    "timestamp",
    ["2026-01-31T12:00:00Z", "2026-01-31T12:00:00.123456+05:30"],
    ["2026-02-30T12:00:00Z", "2026-01-31T24:00:00Z", "2026-01-31T12:00:00", "2026-01-31", 1767182400],
  ],
  ["date", ["2024-02-29"], ["2026-02-29", "2026-1-1", "0000-01-01"]],
  ["uuid", ["0198a3b4-0000-7000-8000-000000000001"], ["0198a3b4", 1]],
  ["json", [null, 1, "x", [1], { a: null }], []],
];

for (const [type, good, bad] of cases) {
  test(`${type} takes what it says, and nothing else`, () => {
    for (const value of good) assert.equal(faultOfValue(declared(type), value), undefined, JSON.stringify(value));
    for (const value of bad) assert.ok(faultOfValue(declared(type), value), JSON.stringify(value));
  });
}

test("only what is declared with ? may be null or missing", () => {
  for (const value of [null, undefined]) {
    assert.equal(faultOfValue(declared("text?"), value), undefined);
    assert.ok(faultOfValue(declared("text"), value));
    assert.equal(boundFor("sqlite", declared("text?"), value), null);
  }
});

test("a list's fault has the place of the item", () => {
  assert.deepEqual(faultOfValue(declared("integer[]"), [1, 2, "x"]), {
    at: "[2]",
    what: 'is "x" and must be a whole number of 64 bits, as text beyond 9007199254740991',
  });
  assert.ok(faultOfValue(declared("integer[]"), 1));
});

test("what is no declaration is none", () => {
  for (const declaration of ["string", "text??", "text?[]", "bytes[]", "json[]", "", "TEXT", 7, null]) {
    assert.equal(readParameter(declaration), undefined, String(declaration));
  }
});

test("a fault quotes the value, cut", () => {
  assert.match(faultOfValue(declared("integer"), "x".repeat(1000))?.what ?? "", /^is "x{39}… and must be/);
});

for (const [declaration, value, postgres, sqlite] of [
  ["integer", "9007199254740993", "9007199254740993", 9007199254740993n],
  ["boolean", true, "true", 1],
  ["bytes", "AP8", Buffer.of(0, 255), Buffer.of(0, 255)],
  ["numeric", "12.30", "12.30", "12.30"],
  ["timestamp", "2026-01-31T12:00:00+05:30", "2026-01-31T12:00:00+05:30", "2026-01-31T06:30:00.000Z"],
  ["json", null, "null", "null"],
  ["text[]", ['a"b', "c\\d", ""], '{"a\\"b","c\\\\d",""}', '["a\\"b","c\\\\d",""]'],
  ["integer[]", [1, "9007199254740993"], '{"1","9007199254740993"}', "[1,9007199254740993]"],
] as const) {
  test(`${declaration} ${JSON.stringify(value)} as each database takes it`, () => {
    assert.deepEqual(boundFor("postgres", declared(declaration), value as JsonValue), postgres);
    assert.deepEqual(boundFor("sqlite", declared(declaration), value as JsonValue), sqlite);
  });
}
