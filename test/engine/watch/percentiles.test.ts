import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { createDurationWindow } from "../../../src/engine/watch/percentiles.ts";

const hoursMs = 3_600_000;

test("a percentile is as near to what was recorded as its bits say, from microseconds to hours", () => {
  const durations = fc.oneof(
    fc.double({ min: 0.001, max: 10, noNaN: true }),
    fc.integer({ min: 1, max: 19 * hoursMs }),
  );
  const property = fc.property(durations, fc.constantFrom(3, 5), (ms, bits) => {
    const window = createDurationWindow(bits, 0);
    window.record(ms, 0);
    const shown = window.percentiles(0)?.p99 ?? 0;
    const error = Math.abs(shown - ms);
    assert.ok(error <= ms / 2 ** (bits + 1) + 0.001, `${ms} ms is shown as ${shown} ms`);
  });
  fc.assert(property, { numRuns: 1_000 });
});

test("ranks are counted over all that was recorded: p50, p90 and p99 of a hundred are the 50th, 90th and 99th", () => {
  const window = createDurationWindow(5, 0);
  for (let ms = 100; ms >= 1; ms -= 1) window.record(ms, 0);
  const { p50 = 0, p90 = 0, p99 = 0 } = window.percentiles(0) ?? {};
  for (const [shown, exact] of [[p50, 50] as const, [p90, 90] as const, [p99, 99] as const]) {
    assert.ok(Math.abs(shown - exact) <= exact / 64 + 0.001, `${shown} is not about ${exact}`);
  }
});

test("what is longer than any job counts as the longest", () => {
  const window = createDurationWindow(3, 0);
  window.record(Number.POSITIVE_INFINITY, 0);
  window.record(1e15, 0);
  assert.ok((window.percentiles(0)?.p50 ?? 0) > 18 * hoursMs);
});
