import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import { createIdleCollection } from "../../src/server/idle-collection.ts";
import { createFakeClock } from "../support/fake-clock.ts";

async function open(t: TestContext) {
  const clock = createFakeClock();
  let share = 0.5;
  let heapMiB = 20;
  let collections = 0;
  const collection = createIdleCollection({
    clock,
    utilization: () => ({ idle: 0, active: 0, utilization: share }),
    heapBytes: () => heapMiB * 2 ** 20,
    collect: () => void (collections += 1),
  });
  await collection.start();
  t.after(collection.stop);
  /** How often garbage was collected by the end of so much time in which the loop was as busy as that. */
  const after = (ms: number, busy: number) => {
    share = busy;
    clock.advance(ms);
    return collections;
  };
  return { after, holds: (mib: number) => void (heapMiB = mib) };
}

test("garbage is collected soon after the start, and after each time in which the server was busy when it was idle for long", async (t) => {
  const { after } = await open(t);
  assert.equal(after(10_000, 0.5), 0, "it is still starting");
  assert.deepEqual([after(5_000, 0.01), after(600_000, 0.04)], [1, 1]);
  assert.equal(after(60_000, 0.9), 1, "not while it is busy");
  assert.deepEqual([after(25_000, 0), after(5_000, 0), after(600_000, 0)], [1, 2, 2]);
});

test("bursts that come and go are no reason to collect garbage between them, and longer pauses not each time", async (t) => {
  const { after } = await open(t);
  assert.equal(after(600_000, 0.9), 0);
  assert.equal(after(5_000, 0), 1);
  for (let burst = 1; burst <= 100; burst += 1) assert.equal([after(5_000, 0.9), after(25_000, 0)][1], 1);
  assert.equal(after(5_000, 0), 2);
  for (let burst = 1; burst <= 5; burst += 1) assert.equal([after(5_000, 0.9), after(45_000, 0)][1], 2);
  assert.equal([after(5_000, 0.9), after(45_000, 0)][1], 3);
});

test("a large heap is left alone", async (t) => {
  const { after, holds } = await open(t);
  holds(101);
  assert.equal(after(600_000, 0), 0);
  holds(100);
  assert.deepEqual([after(5_000, 0.9), after(60_000, 0)], [0, 1]);
});
