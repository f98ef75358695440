import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { refusal } from "../../src/errors.ts";
import { trailersOf } from "../../src/rpc/status.ts";

describe("the pushback of a refusal", () => {
  const later = (retryAfterMs: number) => refusal("draining", [], { retryAfterMs });
  const pushback = (error: ReturnType<typeof refusal>, random: () => number) =>
    Number(trailersOf(error, random)[0]?.[1]);

  test("is never shorter than the advice, and at most half as long again", () => {
    assert.deepEqual([pushback(later(1000), () => 0), pushback(later(1000), () => 0.999_999)], [1000, 1500]);
  });

  test("differs from client to client, over all of that range", () => {
    const drawn = Array.from({ length: 1000 }, () => pushback(later(10_000), Math.random));
    assert.ok(Math.min(...drawn) < 10_500 && Math.max(...drawn) > 14_500 && new Set(drawn).size > 500);
  });

  test("is -1 where trying again cannot help, and missing where nobody knows when", () => {
    assert.deepEqual(trailersOf(refusal("over_burst", [2, "x", 1]), Math.random), [["grpc-retry-pushback-ms", "-1"]]);
    assert.deepEqual(trailersOf(refusal("slow_consumer", [1, 1]), Math.random), []);
  });
});
