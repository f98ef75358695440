import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { maxStackChars, thrownOf } from "../../src/pool/thrown.ts";

const circle = new Error("first");
circle.cause = new Error("second", { cause: circle });
const deep = Array.from({ length: 20 }).reduce<Error>(
  (cause, _, at) => new Error(`e${at}`, { cause }),
  new Error("end"),
);
const revoked = Proxy.revocable({}, {});
revoked.revoke();
const trap = () => {
  throw new Error("caught you");
};
const allTraps = { get: trap, getPrototypeOf: trap, ownKeys: trap, has: trap, getOwnPropertyDescriptor: trap };

describe("the message of what was thrown", () => {
  for (const [what, thrown, message] of [
    ["an error", new RangeError("out of luck"), "out of luck"],
    ["an error that says nothing has its name", new TypeError(), "TypeError"],
    ["an error with a blank message", new Error(" "), "Error"],
    [
      "an error with a cause",
      new TypeError("fetch failed", { cause: Object.assign(new Error("connect refused"), { code: "ECONNREFUSED" }) }),
      "fetch failed, caused by: connect refused (code ECONNREFUSED)",
    ],
    [
      "a code that the message names already",
      Object.assign(new Error("ENOENT: no file"), { code: "ENOENT" }),
      "ENOENT: no file",
    ],
    [
      "a cause that is no error",
      new Error("no luck", { cause: { status: 503 } }),
      `no luck, caused by: {"status":503}`,
    ],
    [
      "an error that repeats its cause",
      new Error("saving: disk full", { cause: new Error("disk full") }),
      "saving: disk full",
    ],
    [
      "an AggregateError without a message",
      new AggregateError([new Error("a"), new Error("b")]),
      "AggregateError: a; b",
    ],
    [
      "an AggregateError of many",
      new AggregateError(
        Array.from({ length: 8 }, (_, at) => new Error(`e${at}`)),
        "all failed",
      ),
      "all failed: e0; e1; e2; e3; e4; and 3 more",
    ],
    ["causes in a circle", circle, "first, caused by: second"],
    ["causes without end", deep, "e19, caused by: e18, caused by: e17, caused by: e16, caused by: e15, caused by: e14"],
    ["a DOMException", new DOMException("nobody told it to", "AbortError"), "nobody told it to"],
    ["a text", "just text", "just text"],
    ["an empty text", "", "an empty text"],
    ["undefined", undefined, "undefined"],
    ["null", null, "null"],
    ["a number", 7, "7"],
    ["a symbol", Symbol("s"), "Symbol(s)"],
    ["an object with a message", { code: 42, message: "no luck" }, "no luck (code 42)"],
    ["an object without one", { code: 42, detail: "x" }, `{"code":42,"detail":"x"}`],
    ["an object with a text of its own", { toString: () => "own text" }, "own text"],
    ["an object whose text is none", { toString: 1, valueOf: 1 }, `{"toString":1,"valueOf":1}`],
    ["a list", [1, "two"], `[1,"two"]`],
    ["a Response", new Response("x"), "[Response]"],
    [
      "a getter that throws",
      Object.defineProperty({}, "message", { get: trap, enumerable: true }),
      `{"message":"[cannot be read]"}`,
    ],
    ["toJSON that throws", { toJSON: trap }, "[cannot be read]"],
    ["a proxy that throws", new Proxy(new Error("e"), allTraps), "[cannot be read]"],
    ["a proxy that was revoked", revoked.proxy, "[cannot be read]"],
    ["a stack that throws", Object.defineProperty(new Error("m"), "stack", { get: trap }), "m"],
  ] as const) {
    test(what, () => assert.equal(thrownOf(thrown).message, message));
  }

  test("has at most 4096 characters, the last of which says that it was cut, and no half of a character", () => {
    const { message } = thrownOf(new Error(`${"x".repeat(4094)}\u{1f600} tail`));
    assert.equal(message, `${"x".repeat(4094)}…`);
    assert.equal(thrownOf("x".repeat(5000)).message, `${"x".repeat(4095)}…`);
    assert.equal(thrownOf("lone \ud800").message, "lone \u{fffd}");
  });
});

describe("the stack of what was thrown", () => {
  test("is the name, the message's first line and the first frames, of its causes and parts too", () => {
    const cause = new TypeError("inner\n    at nowhere (a line of the message)");
    const { stack = "" } = thrownOf(new AggregateError([new Error("part")], "outer", { cause }));
    const lines = stack.split("\n");
    const titles = lines.filter((line) => !line.startsWith("    at "));
    assert.deepEqual(titles, ["AggregateError: outer", "part: Error: part", "caused by: TypeError: inner"]);
    assert.match(lines[1] ?? "", /thrown\.test\.ts:\d+:\d+/);
    assert.equal(stack.includes("nowhere"), false);
  });

  test("has at most eight frames of the error, four of each cause, and 2000 characters", () => {
    const fall = (depth: number): never => {
      if (depth > 0) fall(depth - 1);
      throw new Error("bottom");
    };
    try {
      fall(50);
    } catch (error) {
      const { stack = "" } = thrownOf(error);
      assert.equal(stack.split("\n").length, 9);
      const whole = thrownOf(new Error("outer", { cause: error })).stack ?? "";
      assert.equal(whole.split("caused by: ")[1]?.split("\n").length, 5);
      const large = Object.assign(new Error("m"), { stack: `Error: m\n${`    at ${"x".repeat(290)}\n`.repeat(50)}` });
      assert.equal(thrownOf(large).stack?.length, maxStackChars);
    }
  });

  test("is missing when nothing is known of the place", () => {
    for (const thrown of ["text", null, { message: "m" }, Object.assign(new Error("m"), { stack: undefined })]) {
      assert.equal(thrownOf(thrown).stack, undefined);
    }
  });
});
