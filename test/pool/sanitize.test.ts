import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { maxPlainChars, plain, textOf } from "../../src/pool/sanitize.ts";

const list = (length: number) => Array.from({ length }, (_, at) => at);
const trap = () => {
  throw new Error("caught you");
};

describe("details of a failure and fields of a log line", () => {
  test("that are JSON stay as they are", () => {
    const details = { text: "a", list: [1, null, true], inner: { empty: {} }, ["__proto__"]: 1 };
    assert.deepEqual(plain(details), details);
  });

  test("what JSON cannot hold is named, and what it leaves out is left out", () => {
    const circle: { self?: unknown } = {};
    circle.self = circle;
    class Point {
      x = 1;
      move() {}
    }
    const given = {
      ...{ big: 9007199254740993n, nan: Number.NaN, date: new Date(0), map: new Map([["a", 1]]), set: new Set([1]) },
      ...{ bytes: new Uint8Array(3), error: new RangeError("m"), point: new Point(), list: [undefined, trap] },
      ...{ nothing: undefined, method: trap, json: { toJSON: trap }, circle },
    };
    Object.defineProperty(given, "getter", { get: trap, enumerable: true });
    assert.deepEqual(plain(given), {
      ...{
        big: "9007199254740993",
        nan: "NaN",
        date: "1970-01-01T00:00:00.000Z",
        map: "[Map of 1]",
        set: "[Set of 1]",
      },
      ...{ bytes: "[Uint8Array of 3 bytes]", error: "RangeError: m", point: { x: 1 }, list: [null, null] },
      ...{ json: "[cannot be read]", circle: { self: "[circular]" }, getter: "[cannot be read]" },
    });
  });

  test("of a class whose name is no text do not fail", () => {
    const odd = Object.create({ constructor: { name: Object.create(null) } });
    assert.equal(textOf(odd, 100), "[object]");
  });

  test("that are no object become one", () => {
    assert.deepEqual([[1], null, "a", undefined].map(plain), [
      { value: [1] },
      { value: null },
      { value: "a" },
      { value: null },
    ]);
  });

  test("over their bound are cut with a marker, in texts, lists and objects", () => {
    const text = plain({ text: "x".repeat(20_000), after: 1 });
    assert.match(String(text["text"]), /^x{16000,16384}… \(\d+ more characters\)$/);
    assert.equal(text["…"], "(1 more)");
    const numbers = plain({ list: list(10_000) })["list"] as unknown[];
    assert.match(String(numbers.at(-1)), /^… \(\d+ more\)$/);
    const fields = plain(Object.fromEntries(list(10_000).map((at) => [`field${at}`, at])));
    assert.match(String(fields["…"]), /^\(\d+ more\)$/);
    for (const cut of [text, numbers, fields]) {
      const { length } = JSON.stringify(cut);
      assert.ok(length > maxPlainChars / 2 && length < maxPlainChars * 1.1, `${length}`);
    }
  });

  test("nested deeper than results may be are cut where they are too deep", () => {
    const cut = JSON.stringify(plain(JSON.parse(`{"a":${"[".repeat(60)}${"]".repeat(60)}}`)));
    assert.equal(cut, `{"a":${"[".repeat(29)}"[nested deeper than 30 levels]"${"]".repeat(29)}}`);
  });
});
