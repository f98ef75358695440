import assert from "node:assert/strict";
import { test } from "node:test";
import { createChunkSize } from "../../src/engine/chunk-size.ts";

function after(max: number, ...durations: readonly number[]): number {
  const size = createChunkSize(max);
  for (const tookMs of durations) size.record(tookMs);
  return size.read();
}

const times = (count: number, tookMs: number) => Array<number>(count).fill(tookMs);

test("before anything is known jobs go alone", () => {
  assert.equal(after(128), 1);
});

test("tiny jobs end up in chunks of about 2 ms of work", () => {
  const size = after(128, ...times(300, 0.1));
  assert.ok(size >= 18 && size <= 20, `${size}`);
});

test("no chunk is larger than the bound, even when jobs take no time", () => {
  assert.equal(after(128, ...times(1000, 0)), 128);
});

test("one slow job makes chunks small at once, and they stay small for about a hundred jobs", () => {
  const learnt = times(300, 0.1);
  assert.equal(after(128, ...learnt, 50), 1);
  assert.equal(after(128, ...learnt, 50, ...times(50, 0.1)), 1);
  assert.ok(after(128, ...learnt, 50, ...times(200, 0.1)) > 5);
});

test("jobs over 2 ms always go alone", () => {
  assert.equal(after(128, ...times(500, 2.1)), 1);
});

test("a duration that a clock made negative does no harm", () => {
  assert.equal(after(128, -100), 1);
  const recovered = after(128, -100, ...times(300, 0.1));
  assert.ok(recovered >= 18 && recovered <= 20, `${recovered}`);
});
