import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import { createPoolWatch } from "../../../src/engine/upkeep/pool-watch.ts";
import { createFakeClock } from "../../support/fake-clock.ts";
import { keptLog } from "../../support/samples.ts";

/** A watch of three pools, each of which runs jobs or does not as the test says. */
async function open(t: TestContext) {
  const clock = createFakeClock();
  const { log, lines } = keptLog();
  const stuck = new Set<string>();
  const pools = ["cpu", "io", "mail"].map((name) => ({ name, canRun: () => !stuck.has(name) }));
  let changes = 0;
  const onChanged = () => void (changes += 1);
  const watch = createPoolWatch({ pools, clock, onChanged, log });
  await watch.start();
  t.after(watch.stop);
  const look = () => clock.advance(1_000);
  return { watch, clock, lines, stuck, look, changes: () => changes };
}

test("one pool among several is broken once it could not run jobs at two looks in a row, until it can", async (t) => {
  const { watch, stuck, look, lines, changes } = await open(t);
  stuck.add("io");
  look();
  assert.deepEqual([watch.broken(), changes()], [[], 0]);
  look();
  assert.deepEqual([watch.broken(), changes()], [["io"], 1]);
  stuck.delete("io");
  look();
  assert.deepEqual([watch.broken(), changes()], [[], 2]);
  assert.deepEqual(
    lines.map(({ level, fields, text }) => [level, fields["pool"], text.split(":")[0]]),
    [
      ["error", "io", "the pool has no worker that could run a job"],
      ["info", "io", "the pool has workers again"],
    ],
  );
});

test("a pool whose threads are replaced in between is not broken", async (t) => {
  const { watch, stuck, look } = await open(t);
  for (let looks = 0; looks < 10; looks += 1) {
    if (looks % 2 === 0) stuck.add("cpu");
    else stuck.delete("cpu");
    look();
    assert.deepEqual(watch.broken(), []);
  }
});

test("a second pool that breaks is a change too", async (t) => {
  const { watch, stuck, look, changes } = await open(t);
  stuck.add("mail");
  look();
  look();
  stuck.add("cpu");
  look();
  look();
  assert.deepEqual([watch.broken(), changes()], [["cpu", "mail"], 2]);
});

test("nobody looks any more after a stop", async (t) => {
  const { watch, clock } = await open(t);
  assert.equal(clock.timers(), 1);
  await watch.stop();
  assert.equal(clock.timers(), 0);
});
