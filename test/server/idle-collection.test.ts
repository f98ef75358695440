import assert from "node:assert/strict";
import { test } from "node:test";
import { createIdleCollection } from "../../src/server/idle-collection.ts";
import { createFakeClock } from "../support/fake-clock.ts";

test("garbage is collected once after the start, and once after each time in which the server was busy", async (t) => {
  const clock = createFakeClock();
  let share = 0.5;
  let collections = 0;
  const collection = createIdleCollection({
    clock,
    utilization: () => ({ idle: 0, active: 0, utilization: share }),
    collect: () => void (collections += 1),
  });
  const after = (ms: number, busy: number) => {
    share = busy;
    clock.advance(ms);
    return collections;
  };
  await collection.start();
  t.after(collection.stop);
  assert.equal(after(10_000, 0.5), 0, "it is still starting");
  assert.deepEqual([after(5_000, 0.01), after(60_000, 0.04)], [1, 1]);
  assert.equal(after(60_000, 0.9), 1, "not while it is busy");
  assert.deepEqual([after(5_000, 0), after(60_000, 0)], [2, 2]);
});
