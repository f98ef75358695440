import assert from "node:assert/strict";
import { test } from "node:test";
import { createCeilings } from "../../../src/engine/dispatch/scaling-ceilings.ts";
import { createFakeClock } from "../../support/fake-clock.ts";

const mebibyte = 2 ** 20;

/** Pools `cpu` and `batch` for CPU work and `io`, on a machine of four cores, in a container of 512 MiB. */
function tryCeilings() {
  const clock = createFakeClock();
  const pools = ["cpu", "batch", "io"].map((name) => {
    const has = { target: 1, workers: 1 };
    return { name, has, target: () => has.target, workers: () => has.workers };
  });
  const memory = { usedBytes: 128 * mebibyte, limitBytes: 512 * mebibyte };
  let reads = 0;
  const ceilings = createCeilings({
    ...{ pools, cpuPools: new Set(["cpu", "batch"]), cores: 4, workerBytes: 32 * mebibyte, clock },
    memory() {
      reads += 1;
      return { ...memory };
    },
  });
  const [cpu, batch, io] = pools.map(({ has }) => has);
  return { clock, memory, ceilings, cpu: cpu!, batch: batch!, io: io!, reads: () => reads };
}

test("pools for CPU work share the cores, and others do not count", () => {
  const { ceilings, cpu, batch, io } = tryCeilings();
  Object.assign(io, { target: 9, workers: 9 });
  assert.deepEqual([ceilings("cpu").workers, ceilings("cpu").by], [2, "cores"]);
  cpu.target = 3;
  assert.equal(ceilings("batch").workers, 0);
  batch.target = 5; // its minimum
  assert.equal(ceilings("cpu").workers, 0);
  assert.equal(ceilings("io").by, "memory");
});

test("workers start as long as the process and their price fit into the memory", () => {
  const { ceilings, memory, clock } = tryCeilings();
  assert.deepEqual([ceilings("io").workers, ceilings("io").by], [12, "memory"]);
  memory.usedBytes = 481 * mebibyte;
  clock.advance(1_000);
  assert.equal(ceilings("io").workers, 0);
  assert.equal(ceilings("io").why, "of 512 MiB the process has 481 MiB, and a worker takes 32 MiB");
  memory.usedBytes = 480 * mebibyte;
  clock.advance(1_000);
  assert.equal(ceilings("io").workers, 1);
});

test("memory is read once a second at most, and workers that have started since count with their price", () => {
  const { ceilings, io, cpu, clock, memory, reads } = tryCeilings();
  io.target = 11;
  assert.equal(ceilings("io").workers, 2, "ten of them are starting");
  io.workers = 11; // and the measured memory may not have them in it yet
  clock.advance(999);
  assert.equal(ceilings("io").workers, 2);
  assert.equal(reads(), 1);
  clock.advance(1);
  assert.equal(ceilings("io").workers, 2, "they may be starting still");
  memory.usedBytes += 300 * mebibyte;
  clock.advance(1_000);
  assert.equal(ceilings("io").workers, 2);
  assert.equal(reads(), 3);
  cpu.workers = 3; // more than the target: they end when they are idle
  clock.advance(1_000);
  assert.equal(ceilings("io").workers, 2);
});
