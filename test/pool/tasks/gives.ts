import { defineTask } from "../../../src/pool/task.ts";

const circle: { [key: string]: unknown } = {};
circle["self"] = circle;

/** What a task may return, by name. */
const given: { readonly [what: string]: () => unknown } = {
  nothing: () => undefined,
  null: () => null,
  json: () => ({ a: [1, "two", null] }),
  bytes: () => Buffer.from("abcdef").subarray(1, 3),
  bigint: () => ({ count: 1n }),
  function: () => () => 1,
  circle: () => circle,
  map: () => ({ counts: new Map([["a", 1]]) }),
  nan: () => ({ mean: Number.NaN }),
  forgottenAwait: () => ({ total: [Promise.resolve(1)] }),
  generator: () => (function* () {})(),
  error: () => new Error("returned, not thrown"),
  nestedBytes: () => ({ data: new Uint8Array(2) }),
  surrogate: () => ({ text: "\ud800" }),
  throwingToJson: () => ({
    toJSON: () => {
      throw new Error("boom");
    },
  }),
  sharedBytes: () => new Uint8Array(new SharedArrayBuffer(2)).fill(7),
  large: () => "x".repeat(2000),
  deep: () => JSON.parse("[".repeat(31) + "]".repeat(31)),
  deepEnough: () => JSON.parse("[".repeat(30) + "]".repeat(30)),
};

export default defineTask({
  name: "gives",
  pool: "tried",
  run: (what) => given[String(what)]?.() as never,
});
