import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { runInNewContext } from "node:vm";
import { faultOfFields, findNonJson } from "../src/json-value.ts";

const circular: { self?: unknown } = {};
circular.self = circular;
const nested = (depth: number): unknown => (depth === 0 ? 1 : [nested(depth - 1)]);
class Point {
  readonly x = 1;
  readonly #secret = 2;
  sum(): number {
    return this.x + this.#secret;
  }
}

suite("what JSON cannot hold is named, with where it lies", () => {
  const cases: readonly (readonly [what: string, value: unknown, expected: RegExp])[] = [
    ["a Map", new Map([["a", 1]]), /^: is a Map, of which JSON keeps nothing/],
    ["a Map within", { counts: [0, new Map()] }, /^\.counts\[1\]: is a Map/],
    ["a Set", new Set([1]), /^: is a Set/],
    ["an Error", { error: Object.assign(new Error("x"), { code: "E" }) }, /^\.error: is an Error/],
    ["a Response", { body: new Response("x") }, /^\.body: is a Response/],
    ["a regular expression", /a/g, /^: is a RegExp/],
    ["a generator", (function* () {})(), /^: is a Generator/],
    ["an asynchronous generator", (async function* () {})(), /^: is an AsyncGenerator/],
    ["a forgotten await", { total: Promise.resolve(1) }, /^\.total: is a Promise: await it$/],
    ["NaN", { mean: Number.NaN }, /^\.mean: is NaN, which JSON does not have$/],
    ["Infinity", [Infinity], /^\[0\]: is Infinity/],
    ["a BigInt", { order: { id: 10n } }, /^\.order\.id: is a BigInt.*send it as a string$/],
    ["a function", { f: () => 1 }, /^\.f: is a function/],
    ["a symbol", Symbol("x"), /^: is a symbol/],
    ["a Buffer within", { data: Buffer.from("x") }, /^\.data: is a Buffer.*as a Uint8Array, or as base64 text$/],
    ["a typed array", new Float32Array(1), /^: is a Float32Array/],
    ["an ArrayBuffer", new ArrayBuffer(1), /^: is an ArrayBuffer/],
    ["a Date that is no time", { at: new Date(Number.NaN) }, /^\.at: is an invalid Date$/],
    ["half of a surrogate pair", { text: "\ud800" }, /^\.text: has a lone surrogate/],
    ["undefined in a list", [1, undefined], /^\[1\]: is undefined: put null there$/],
    ["a hole in a list", [1, , 2], /^\[1\]: is undefined/], // oxlint-disable-line no-sparse-arrays
    ["a circle", circular, /^(\.self){30}: is nested too deep, or contains itself$/],
    ["31 levels", nested(31), /^(\[0\]){30}: is nested too deep/],
    ["what toJSON gives", { a: { toJSON: () => ({ b: new Map() }) } }, /^\.a\.b: is a Map/],
  ];
  for (const [what, value, expected] of cases) {
    test(what, () => {
      const fault = findNonJson(value, 30);
      assert.match(`${fault?.path}: ${fault?.description}`, expected);
    });
  }
});

test("what JSON holds as everybody expects is let through", () => {
  for (const value of [
    ...[null, undefined, true, 0, -1.5, "", "ü€😀", [], {}, [[], {}], nested(30)],
    { left: undefined, out: 1 },
    { at: new Date(0), url: new URL("http://localhost/"), point: new Point() },
    Object.create(null),
    runInNewContext("({ a: [1, { b: null }] })"),
    new Proxy({ a: 1 }, {}),
    JSON.parse('{"__proto__": {"a": 1}, "constructor": 1}'),
    Object(4),
  ]) {
    assert.equal(findNonJson(value, 30), null);
  }
});

test("what is not the fields of a message is named: protobuf would make an empty message of it", () => {
  for (const [value, expected] of [
    [undefined, "is undefined"],
    [null, "is null"],
    [5, "is a number"],
    ["x", "is a string"],
    [[1], "is a list"],
    [new Map(), "is a Map"],
    [new Error("x"), "is an Error"],
    [new Date(0), "is a Date"],
    [Promise.resolve(), "is a Promise"],
    [{}, null],
    [{ width: 1 }, null],
    [new Point(), null],
  ] as const) {
    assert.equal(faultOfFields(value), expected);
  }
});
