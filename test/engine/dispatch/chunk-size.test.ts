import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { createChunkSize } from "../../../src/engine/dispatch/chunk-size.ts";

const times = (count: number, tookMs: number) => Array<number>(count).fill(tookMs);
const line = (...tasks: readonly string[]) => tasks.map((task) => ({ task }));
const many = (count: number, task: string) => Array.from({ length: count }, () => ({ task }));

function after(max: number, ...durations: readonly number[]): number {
  const size = createChunkSize(max);
  for (const tookMs of durations) size.record("echo", tookMs);
  return size.cut(many(max, "echo"));
}

/** What is known of a quick and a slow task that take turns. */
function mixed(quickMs = 0.05, slowMs = 50) {
  const size = createChunkSize(128);
  for (let round = 0; round < 300; round += 1) {
    for (let quick = 0; quick < 19; quick += 1) size.record("quick", quickMs);
    size.record("slow", slowMs);
  }
  return size;
}

describe("jobs of one task", () => {
  test("go alone before anything is known", () => {
    assert.equal(after(128), 1);
  });

  test("that are tiny end up in chunks of about 2 ms of work", () => {
    const size = after(128, ...times(300, 0.1));
    assert.ok(size >= 18 && size <= 20, `${size}`);
  });

  test("make no chunk larger than the bound, even when they take no time", () => {
    assert.equal(after(128, ...times(1000, 0)), 128);
  });

  test("of which one was slow go in small chunks at once, and for about a hundred jobs", () => {
    const learnt = times(300, 0.1);
    assert.equal(after(128, ...learnt, 50), 1);
    assert.equal(after(128, ...learnt, 50, ...times(50, 0.1)), 1);
    assert.ok(after(128, ...learnt, 50, ...times(200, 0.1)) > 5);
  });

  test("over 2 ms always go alone", () => {
    assert.equal(after(128, ...times(500, 2.1)), 1);
  });

  test("suffer no harm from a duration that a clock made negative", () => {
    assert.equal(after(128, -100), 1);
    const recovered = after(128, -100, ...times(300, 0.1));
    assert.ok(recovered >= 18 && recovered <= 20, `${recovered}`);
  });

  test("that are all there are make one chunk", () => {
    const size = mixed();
    assert.equal(size.cut(many(3, "quick")), 3);
    assert.equal(size.cut([]), 0);
  });
});

describe("jobs of several tasks", () => {
  test("a slow task does not make the chunks of a quick one smaller", () => {
    const size = mixed();
    const quick = size.cut(many(128, "quick"));
    assert.ok(quick >= 35 && quick <= 40, `${quick}`);
  });

  test("no job waits in a chunk behind a long one, and no long one behind quick ones", () => {
    const size = mixed();
    assert.equal(size.cut(line("slow", "quick", "quick")), 1);
    assert.equal(size.cut(line("quick", "quick", "slow", "quick")), 2);
  });

  test("a task that is seen for the first time goes alone", () => {
    assert.equal(mixed().cut(line("quick", "new", "quick")), 1);
    assert.equal(mixed().cut(line("new", "quick")), 1);
  });
});

test("what is expected is what chunks of the mix have on average", () => {
  assert.equal(createChunkSize(128).expected(), 1);
  const expected = mixed().expected();
  assert.ok(expected >= 10 && expected <= 20, `${expected} of chunks that 1 slow job in 20 cuts`);
});
