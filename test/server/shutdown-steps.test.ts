/** The end of a server step by step, with parts that do what the test says. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { createDraining } from "../../src/engine/upkeep/draining.ts";
import { createSignal } from "../../src/lifecycle.ts";
import { createShutdown } from "../../src/server/shutdown.ts";
import { createFakeClock, turn } from "../support/fake-clock.ts";
import { keptLog } from "../support/samples.ts";

const drainMs = 30_000;
const graceMs = 5_000;

/** `hangs`: a part whose stop never resolves. */
function open({ hangs = false } = {}) {
  const clock = createFakeClock();
  const steps: string[] = [];
  const ended = createSignal();
  const failed = createSignal<Error>();
  const pool = {
    releaseAll: () => void steps.push("release"),
    async destroy() {
      steps.push("destroy");
      ended.fire();
    },
  };
  const part = (name: string, isStuck = false) => ({
    name,
    start: async () => {},
    async stop() {
      steps.push(name);
      if (isStuck) await new Promise(() => {});
    },
  });
  const shutdown = createShutdown({
    ...{ clock, drainMs, graceMs, log: keptLog().log },
    draining: createDraining({ begin: () => void steps.push("drain"), ended: () => ended.promise }),
    pools: [pool],
    engine: {
      async stop() {
        steps.push("engine");
        await ended.promise;
      },
    },
    closeStreams: () => void steps.push("streams"),
    others: [part("store", hangs), part("front end")],
    failed: failed.promise,
  });
  const stopped = { is: false };
  const watch = (stopping: Promise<void>) => void stopping.then(() => (stopped.is = true));
  return { clock, steps, ended, failed, shutdown, stopped, watch };
}

const rest = ["destroy", "streams", "front end", "store"];

async function settle(): Promise<void> {
  for (let turns = 0; turns < 5; turns += 1) await turn();
}

describe("stop", () => {
  test("waits for what runs, then lets go of everything in reverse order, and leaves no timer", async () => {
    const { shutdown, steps, ended, clock, stopped, watch } = open();
    watch(shutdown.stop());
    await settle();
    assert.deepEqual(steps, ["drain", "engine"]);
    clock.advance(drainMs - 1);
    await settle();
    assert.deepEqual(steps, ["drain", "engine"], "nothing is asked to stop before its time");
    ended.fire();
    await settle();
    assert.equal(stopped.is, true);
    assert.deepEqual(steps, ["drain", "engine", "release", ...rest]);
    assert.equal(clock.timers(), 0);
  });

  test("tells what still runs after drainMs to stop, and ends it after graceMs more", async () => {
    const { shutdown, steps, clock, stopped, watch } = open();
    watch(shutdown.stop());
    await settle();
    clock.advance(drainMs);
    await settle();
    assert.deepEqual(steps, ["drain", "engine", "release"]);
    clock.advance(graceMs - 1);
    await settle();
    assert.deepEqual(steps, ["drain", "engine", "release"]);
    clock.advance(1);
    await settle();
    assert.deepEqual(steps.slice(3), rest);
    assert.equal(stopped.is, true);
  });

  test("is one and the same, however often it is asked for", async () => {
    const { shutdown, steps, ended } = open();
    ended.fire();
    await Promise.all([shutdown.stop(), shutdown.stop()]);
    await shutdown.stop();
    assert.deepEqual(steps, ["drain", "engine", "release", ...rest]);
  });
});

describe("force", () => {
  test("skips what is left of the drain, and grants the grace", async () => {
    const { shutdown, steps, clock, watch, stopped } = open();
    watch(shutdown.stop());
    await settle();
    void shutdown.force();
    await settle();
    assert.deepEqual(steps, ["drain", "engine", "release"]);
    clock.advance(graceMs);
    await settle();
    assert.deepEqual(steps.slice(3), rest);
    assert.equal(stopped.is, true);
  });

  test("of a server that nobody stopped stops it", async () => {
    const { shutdown, steps, ended } = open();
    const forced = shutdown.force();
    await settle();
    assert.deepEqual(steps, ["drain", "engine", "release"]);
    ended.fire();
    await forced;
    assert.deepEqual(steps.slice(3), rest);
  });
});

describe("after a failure of the store", () => {
  test("nothing is waited for", async () => {
    const { shutdown, steps, failed, clock, stopped, watch } = open();
    failed.fire(new Error("I/O"));
    await settle();
    watch(shutdown.stop());
    await settle();
    clock.advance(0);
    await settle();
    clock.advance(0);
    await settle();
    assert.deepEqual(steps, ["drain", "engine", "release", ...rest]);
    assert.equal(stopped.is, true);
  });

  test("that comes while it drains the rest is quick too", async () => {
    for (const beforeMs of [0, drainMs]) {
      const { shutdown, steps, failed, clock, watch, stopped } = open();
      watch(shutdown.stop());
      await settle();
      clock.advance(beforeMs);
      await settle();
      failed.fire(new Error("I/O"));
      await settle();
      clock.advance(0);
      await settle();
      assert.deepEqual(steps, ["drain", "engine", "release", ...rest]);
      assert.equal(stopped.is, true);
    }
  });

  test("a part that does not stop holds up the end for a second and a half at most", async () => {
    const { shutdown, failed, clock, stopped, watch } = open({ hangs: true });
    failed.fire(new Error("I/O"));
    await settle();
    watch(shutdown.stop());
    await settle();
    clock.advance(1_499);
    await settle();
    assert.equal(stopped.is, false);
    clock.advance(1);
    await settle();
    assert.equal(stopped.is, true);
  });
});

describe("draining", () => {
  test("begins once, aborts its signal first, and can be asked for", () => {
    const begun: boolean[] = [];
    const draining = createDraining({
      begin: () => void begun.push(draining.signal.aborted),
      ended: async () => {},
    });
    assert.equal(draining.isDraining(), false);
    draining.start();
    draining.start();
    assert.deepEqual([begun, draining.isDraining()], [[true], true]);
  });
});
