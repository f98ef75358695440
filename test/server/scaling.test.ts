import assert from "node:assert/strict";
import { test } from "node:test";
import { misfitOf, ownLimit, readMemory } from "../../src/server/scaling.ts";

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
  assert.match(most!.message, /with the most workers/);
  assert.deepEqual(most!.fields, { pools: { cpu: 2, io: 8 }, needMiB: 420, limitMiB: 419 });
  const fewest = misfitOf(pools, 32, memory(163));
  assert.match(fewest!.message, /with the fewest workers/);
  assert.deepEqual(fewest!.fields, { pools: { io: 2 }, needMiB: 164, limitMiB: 163 });
});
