import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import { createPoolWatch } from "../../src/engine/pool-watch.ts";
import { createFakeClock } from "../support/fake-clock.ts";
import { keptLog } from "../support/samples.ts";

/** A watch of three pools, each of which runs jobs or does not as the test says. */
async function open(t: TestContext) {
  const clock = createFakeClock();
  const { log, lines } = keptLog();
  const stuck = new Set<string>();
  const pools = ["cpu", "io", "mail"].map((name) => ({ name, canRun: () => !stuck.has(name) }));
  const watch = createPoolWatch({ pools, clock, log });
  await watch.start();
  t.after(watch.stop);
  const look = () => clock.advance(1_000);
  return { watch, clock, lines, stuck, look, forEver: new AbortController().signal };
}

test("one pool among several is broken once it could not run jobs at two looks in a row, until it can", async (t) => {
  const { watch, stuck, look, lines, forEver } = await open(t);
  stuck.add("io");
  const broke = watch.changed(forEver);
  look();
  assert.deepEqual(watch.broken(), []);
  look();
  await broke;
  assert.deepEqual(watch.broken(), ["io"]);
  const mended = watch.changed(forEver);
  stuck.delete("io");
  look();
  await mended;
  assert.deepEqual(watch.broken(), []);
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

test("who waits for a change is told of a second pool too, and forgotten when it hangs up", async (t) => {
  const { watch, stuck, look, forEver } = await open(t);
  stuck.add("mail");
  look();
  look();
  stuck.add("cpu");
  const changed = watch.changed(forEver);
  look();
  look();
  await changed;
  assert.deepEqual(watch.broken(), ["cpu", "mail"]);
  const hangUp = new AbortController();
  const waits = watch.changed(hangUp.signal);
  hangUp.abort();
  await waits;
  await watch.changed(hangUp.signal);
});

test("nobody looks any more after a stop", async (t) => {
  const { watch, clock } = await open(t);
  assert.equal(clock.timers(), 1);
  await watch.stop();
  assert.equal(clock.timers(), 0);
});
