import assert from "node:assert/strict";
import { test } from "node:test";
import { createFakeClock } from "./fake-clock.ts";

test("timers fire in the order of their times, each at its own, also those that others set", () => {
  const clock = createFakeClock(1000);
  const fired: [string, number][] = [];
  const note = (name: string) => () => void fired.push([name, clock.monotonicMs()]);
  clock.after(30, note("late"));
  clock.after(10, () => {
    note("early")();
    clock.after(5, note("set by early"));
  });
  const cancel = clock.after(20, note("cancelled"));
  cancel();

  clock.advance(29);

  assert.deepEqual(fired, [
    ["early", 10],
    ["set by early", 15],
  ]);
  assert.equal(clock.timers(), 1);
  clock.advance(1);
  assert.deepEqual(fired.at(-1), ["late", 30]);
  assert.equal(clock.now(), 1030);
});
