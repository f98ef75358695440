import assert from "node:assert/strict";
import { test } from "node:test";
import { createPoolUsages } from "../../../src/engine/watch/pool-usage.ts";
import { createFakeClock, turn } from "../../support/fake-clock.ts";

async function open(given: { workers: number; busyWorkers: number; running: number }) {
  const load = { concurrency: 2, isCrowded: false, ...given };
  const clock = createFakeClock();
  const usages = createPoolUsages({
    clock,
    pools: () => [{ pool: "cpu", ...load }],
    cpuMs: async () => 5_000,
    isCrowded: () => load.isCrowded,
  });
  await usages.start();
  const pass = async (seconds: number) => {
    for (let second = 0; second < seconds; second += 1) {
      clock.advance(1_000);
      await turn();
    }
  };
  return { usages, pass, load };
}

const nothing = {
  ...{ observedMs: 0, workerMs: 0, busyMs: 0, jobMs: 0, cpuMs: null },
  ...{ peakRunning: 0, crowdedMs: 0 },
};

test("of the jobs in chunks those count that workers run at once", async () => {
  const { usages, pass, load } = await open({ workers: 4, busyWorkers: 2, running: 256 });
  await pass(5);
  Object.assign(load, { isCrowded: true, running: 3 });
  await pass(5);
  const { jobMs, peakRunning, crowdedMs } = usages.of("cpu");
  assert.deepEqual([jobMs, peakRunning, crowdedMs], [4 * 5_000 + 3 * 5_000, 4, 5_000]);
  await usages.stop();
});

test("the usage of a pool is that of its workers and jobs over the time that was observed", async () => {
  const { usages, pass, load } = await open({ workers: 4, busyWorkers: 2, running: 3 });
  assert.deepEqual(usages.of("cpu"), nothing);
  await pass(9);
  const first = { observedMs: 9_000, workerMs: 36_000, busyMs: 18_000, jobMs: 27_000, peakRunning: 3 };
  assert.deepEqual(usages.of("cpu"), { ...nothing, ...first });
  await pass(21);
  const half = { observedMs: 30_000, workerMs: 120_000, busyMs: 60_000, jobMs: 90_000, cpuMs: 15_000, peakRunning: 3 };
  assert.deepEqual(usages.of("cpu"), { ...nothing, ...half });
  Object.assign(load, { busyWorkers: 0, running: 0 });
  await pass(60);
  const { busyMs, observedMs, cpuMs } = usages.of("cpu");
  assert.deepEqual(
    [busyMs, observedMs, cpuMs],
    [60_000, 90_000, 45_000],
    "the processor's time comes every ten seconds",
  );
  await usages.update();
  assert.equal(usages.of("cpu").cpuMs, 50_000, "or when it is wanted");
  assert.equal(usages.of("gone").observedMs, 0);
  await usages.stop();
});

test("what is older than an hour is forgotten", async () => {
  const { usages, pass, load } = await open({ workers: 4, busyWorkers: 4, running: 9 });
  await pass(600);
  Object.assign(load, { busyWorkers: 1, running: 1 });
  await pass(3_700);
  const { observedMs, workerMs, busyMs, peakRunning } = usages.of("cpu");
  assert.ok(observedMs > 3_540_000 && observedMs <= 3_600_000, String(observedMs));
  assert.deepEqual([busyMs * 4, peakRunning], [workerMs, 1]);
  await usages.stop();
});
