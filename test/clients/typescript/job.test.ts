import assert from "node:assert/strict";
import { test } from "node:test";
import { imageResize, job, type MillpondClientError, sleep } from "../../../clients/typescript/index.ts";

const circle: { self?: unknown } = {};
circle.self = circle;

for (const [input, path, description] of [
  [{ order: [{ id: 1n }] }, "input.order[0].id", "is a BigInt, which JSON does not have: send it as a string"],
  [{ counts: new Map() }, "input.counts", /^is a Map/],
  [{ total: Promise.resolve(1) }, "input.total", "is a Promise: await it"],
  [[Number.NaN], "input[0]", /^is NaN/],
  [new Error("x"), "input", /^is an Error/],
  [{ data: Buffer.from("x") }, "input.data", /^is a Buffer.* as a Uint8Array, or as base64 text$/],
  [circle, /^input(\.self)+$/, /or contains itself$/],
] as const) {
  test(`what JSON cannot hold is refused before anything is sent: ${String(path)} ${String(description)}`, () => {
    assert.throws(
      () => job("echo", input),
      ({ reason, violations: [violation] }: MillpondClientError) => {
        assert.equal(reason, "invalid_argument");
        assert.match(violation?.field ?? "", typeof path === "string" ? exactly(path) : path);
        assert.match(
          violation?.description ?? "",
          typeof description === "string" ? exactly(description) : description,
        );
        return true;
      },
    );
  });
}

test("the input of a typed task is the fields of its message, and not anything of which an empty one could be made", () => {
  for (const input of [new Map([["durationMs", 1]]), [1], null, "x"]) {
    assert.throws(() => job(sleep, input as never), {
      reason: "invalid_argument",
      message: /^input: is .* and must be the fields of a millpond\.tasks\.v1\.SleepInput$/,
    });
  }
});

function exactly(text: string): RegExp {
  return new RegExp(`^${RegExp.escape(text)}$`);
}

test("an input counts as the values it holds: a picture is one, however large", () => {
  const picture = job(imageResize, { source: { case: "bytes", value: new Uint8Array(100_000) }, width: 320 });
  const pause = job(sleep, { durationMs: 1 });

  assert.ok(picture.values - pause.values <= 1, `${picture.values} values`);
});
