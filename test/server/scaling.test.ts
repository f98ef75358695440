import assert from "node:assert/strict";
import { test } from "node:test";
import { parseConfig } from "../../src/config.ts";
import { crowdOf, misfitOf, ownLimit, readMemory, scalingOf } from "../../src/server/scaling.ts";
import { createFakePool } from "../pool/fake-pool.ts";
import { createFakeClock } from "../support/fake-clock.ts";
import { keptLog } from "../support/samples.ts";

const mebibyte = 2 ** 20;
const gibibyte = 1024 * mebibyte;

test("the limit is nine tenths of the container's or the machine's memory, or what is configured", () => {
  assert.equal(ownLimit(512 * mebibyte, 8 * gibibyte), Math.floor(0.9 * 512 * mebibyte));
  for (const unlimited of [0, 2 ** 63, 2 ** 64])
    assert.equal(ownLimit(unlimited, 8 * gibibyte), Math.floor(7.2 * gibibyte));
  const { usedBytes, limitBytes } = readMemory(300);
  assert.equal(limitBytes, 300 * mebibyte);
  assert.ok(usedBytes > 10 * mebibyte);
  assert.ok(readMemory(null).limitBytes > usedBytes);
});

test("pools that do not fit into memory are named, with what they would take", () => {
  const pools = { cpu: { minWorkers: 0, maxWorkers: 2 }, io: { minWorkers: 2, maxWorkers: 8 } };
  const memory = (limitMiB: number) => ({ usedBytes: 100 * mebibyte, limitBytes: limitMiB * mebibyte });
  assert.equal(misfitOf(pools, 32, memory(420)), undefined);
  const most = misfitOf(pools, 32, memory(419));
  assert.match(most!.message, /with their max workers/);
  assert.deepEqual(most!.fields, { pools: { cpu: 2, io: 8 }, needMiB: 420, limitMiB: 419 });
  assert.match(misfitOf(pools, 32, memory(99))!.message, /even without workers/);
  const fewest = misfitOf(pools, 32, memory(163));
  assert.match(fewest!.message, /even with their min workers/);
  assert.deepEqual(fewest!.fields, { pools: { io: 2 }, needMiB: 164, limitMiB: 163 });
});

test("pools for CPU work whose minima are more than the cores are named, with the remedy", () => {
  const pools = {
    cpu: { minWorkers: 2, maxWorkers: 8 },
    idle: { minWorkers: 0, maxWorkers: 8 },
    crunch: { minWorkers: 1, maxWorkers: 1 },
  };
  assert.equal(crowdOf(pools, 3), undefined);
  const crowd = crowdOf(pools, 2);
  assert.match(crowd!.message, /more workers than there are cores.*lower their min/);
  assert.deepEqual(crowd!.fields, { pools: { cpu: 2, crunch: 1 }, workers: 3, cores: 2 });
});

test("the start warns of pools that may outgrow the memory, and the ceilings hold by what is configured", () => {
  const { log, lines } = keptLog();
  const yaml = "{pools: {crunch: {work: cpu, workers: {min: 1, max: 8}}}, autoscale: {memoryMiB: 64, cores: 3}}";
  const config = parseConfig({ file: { name: "test", text: yaml }, env: {}, flags: {}, cores: 2 });
  const clock = createFakeClock();
  const pools = ["cpu", "io", "crunch"].map((name) => createFakePool({ name, workers: 1, clock }));
  const { ceilings, rule, pollMs, minimaRoom, mostWorkersAt, warnOfMisfit } = scalingOf(config, { pools, clock, log });
  pools[1]?.resize({ min: 1, max: 7 });
  assert.equal(lines.length, 0);
  warnOfMisfit();
  assert.equal(lines[0]?.level, "warn");
  assert.deepEqual(lines[0]?.fields.pools, { cpu: 1, io: 7, crunch: 1 });
  assert.equal(minimaRoom().workers, 0);
  assert.match(minimaRoom().why, /^the minima of all pools may be 0 together, .* of 64 MiB \(autoscale\.memoryMiB\)/);
  assert.deepEqual([1, 32, 256].map(mostWorkersAt), [1024, 1024, 128]);
  assert.deepEqual([rule, pollMs], [{ jobsPerWorker: 5, waitMs: 1_000, idleMs: 30_000 }, 100]);
  assert.equal(ceilings("io").workers, 0);
  const roomy = scalingOf(
    { ...config, autoscale: { ...config.autoscale, memoryMiB: 1_000_000 } },
    { pools, clock, log },
  );
  roomy.warnOfMisfit();
  assert.equal(lines.length, 1);
  pools[2]?.resize({ min: 3, max: 8 });
  roomy.warnOfMisfit();
  assert.deepEqual(lines[1]?.fields, { pools: { cpu: 1, crunch: 3 }, workers: 4, cores: 3 });
  pools[2]?.resize({ min: 1, max: 1 });
  assert.deepEqual([roomy.ceilings("crunch").workers, roomy.ceilings("crunch").by], [1, "cores"]);
});
