import assert from "node:assert/strict";
import { test } from "node:test";
import { job } from "../../../clients/typescript/index.ts";

for (const [input, path] of [
  [{ order: [{ id: 1n }] }, "input.order[0].id"],
  [1n, "input"],
] as const) {
  test(`a BigInt at ${path} is refused before anything is sent, with what to send instead`, () => {
    assert.throws(() => job("echo", input), {
      reason: "invalid_argument",
      message: `${path}: is a BigInt, which JSON does not have: send it as a string`,
      violations: [{ field: path, description: "is a BigInt, which JSON does not have: send it as a string" }],
    });
  });
}

test("an input that holds itself is refused, and does no harm", () => {
  const input: { self?: unknown } = {};
  input.self = input;
  assert.throws(() => job("echo", input), { reason: "invalid_argument", message: /^input: cannot be encoded: / });
});
