import assert from "node:assert/strict";
import { test } from "node:test";
import { createDiskWatermark, type DiskSize, noDiskWatermark } from "../../../src/engine/admit/disk-watermark.ts";
import { createFakeClock, turn } from "../../support/fake-clock.ts";
import { keptLog } from "../../support/samples.ts";

const bsize = 4096;
const blocksOf = (mebibytes: number) => (mebibytes * 2 ** 20) / bsize;

/** A watch of a disk of 100 GiB unless told otherwise; `look` lets the next look have happened. */
async function open({
  leastFreeMiB = null,
  sizeMiB = 102_400,
  freeMiB = 1000,
  insideMiB = 0,
}: {
  leastFreeMiB?: number | null;
  sizeMiB?: number;
  freeMiB?: number;
  /** Free inside the store's files. */
  insideMiB?: number;
} = {}) {
  const clock = createFakeClock();
  const { lines, log } = keptLog();
  const asked: string[] = [];
  let answer: () => Promise<DiskSize>;
  const set = (mebibytes: number) => {
    answer = async () => ({ bsize, blocks: blocksOf(sizeMiB), bavail: blocksOf(mebibytes) });
  };
  set(freeMiB);
  const statfs = (path: string) => {
    asked.push(path);
    return answer();
  };
  const changes: boolean[] = [];
  const onChanged = () => void changes.push(disk.refusal() !== undefined);
  let inside = async () => insideMiB * 2 ** 20;
  const disk = createDiskWatermark({
    path: "/data",
    leastFreeMiB,
    clock,
    statfs,
    freeInside: () => inside(),
    onChanged,
    log,
  });
  await disk.start();
  await turn();
  return {
    ...{ disk, clock, lines, asked, set, changes },
    failInside(error: Error) {
      inside = () => Promise.reject(error);
    },
    fail(error: Error) {
      answer = () => Promise.reject(error);
    },
    hang() {
      answer = () => new Promise(() => undefined);
    },
    async look() {
      clock.advance(1000);
      await turn();
    },
  };
}

test("jobs are taken at the bound and refused below it, with both numbers and a time to come back", async () => {
  const { disk, set, look } = await open({ freeMiB: 256 });
  assert.equal(disk.refusal(), undefined);
  set(255.5);
  await look();
  const refused = disk.refusal();
  assert.equal(refused?.reason, "disk_full");
  assert.match(refused.message, /has 255 MiB free, and new jobs need 256 MiB: .* or lower limits\.diskFreeMiB/);
  assert.equal(refused.retryAfterMs, 10_000);
});

test("a small disk needs a twentieth of itself only", async () => {
  const { disk, set, look } = await open({ sizeMiB: 1000, freeMiB: 50 });
  assert.equal(disk.refusal(), undefined);
  set(49);
  await look();
  assert.match(disk.refusal()?.message ?? "", /has 49 MiB free, and new jobs need 50 MiB/);
});

test("a very small disk keeps what the log may grow by", async () => {
  const { disk, set, look } = await open({ sizeMiB: 100, freeMiB: 32 });
  assert.equal(disk.refusal(), undefined);
  set(31);
  await look();
  assert.match(disk.refusal()?.message ?? "", /has 31 MiB free, and new jobs need 32 MiB/);
});

test("a bound of one's own holds on any disk", async () => {
  assert.equal((await open({ leastFreeMiB: 8, sizeMiB: 100, freeMiB: 8 })).disk.refusal(), undefined);
  for (const sizeMiB of [1_000, 102_400]) {
    const { disk } = await open({ leastFreeMiB: 900, sizeMiB, freeMiB: 899 });
    assert.match(disk.refusal()?.message ?? "", /has 899 MiB free, and new jobs need 900 MiB/);
  }
});

test("what is free inside the store counts as room, but the log needs 32 MiB outside of it", async () => {
  const { disk, set, look, failInside } = await open({ freeMiB: 100, insideMiB: 200 });
  assert.equal(disk.refusal(), undefined);
  set(32);
  await look();
  assert.match(disk.refusal()?.message ?? "", /has 232 MiB free, and new jobs need 256 MiB/);
  set(56);
  await look();
  assert.equal(disk.refusal(), undefined);
  failInside(new Error("the store failed"));
  await look();
  assert.match(disk.refusal()?.message ?? "", /has 56 MiB free, and new jobs need 256 MiB/);
  const full = await open({ freeMiB: 31, insideMiB: 10_000 });
  assert.match(full.disk.refusal()?.message ?? "", /has 31 MiB free, and new jobs need 32 MiB/);
});

test("a bound of 0 never refuses", async () => {
  const { disk } = await open({ leastFreeMiB: 0, freeMiB: 0 });
  assert.equal(disk.refusal(), undefined);
});

test("jobs are taken again once there is room, and health and the log are told both once", async () => {
  const { disk, set, look, lines, asked, changes } = await open({ freeMiB: 10 });
  await look();
  assert.ok(disk.refusal());
  set(300);
  await look();
  await look();
  assert.equal(disk.refusal(), undefined);
  assert.deepEqual(
    lines.map(({ level, text }) => `${level}: ${text}`),
    ["warn: the disk is full: no jobs are accepted", "info: the disk has room again: jobs are accepted"],
  );
  assert.deepEqual(asked, ["/data", "/data", "/data", "/data"]);
  assert.deepEqual(changes, [true, false]);
});

test("while the free space of the disk is unknown nothing is refused, and the log says so once", async () => {
  const { disk, fail, set, look, lines, changes } = await open({ freeMiB: 10 });
  fail(new Error("ENOENT"));
  await look();
  await look();
  assert.equal(disk.refusal(), undefined);
  assert.equal(disk.room(), undefined);
  assert.equal(lines.filter(({ text }) => text.startsWith("the free space of the disk is unknown")).length, 1);
  set(10);
  await look();
  assert.deepEqual(disk.room(), { freeBytes: 10 * 2 ** 20, leastBytes: 256 * 2 ** 20 });
  assert.equal(disk.refusal()?.reason, "disk_full");
  fail(new Error("ENOENT"));
  await look();
  assert.equal(lines.filter(({ text }) => text.startsWith("the free space of the disk is unknown")).length, 2);
  assert.deepEqual(changes, [true, false, true, false]);
});

test("a disk that does not answer is asked once, and keeps nobody from stopping", async () => {
  const { disk, hang, look, asked, clock } = await open();
  hang();
  await look();
  await look();
  assert.equal(asked.length, 2);
  await disk.stop();
  assert.equal(clock.timers(), 0);
});

test("stop leaves no timer, also while a look is under way, and of what was never started it is safe", async () => {
  const { disk, look, clock, asked } = await open({ freeMiB: 10 });
  clock.advance(1000);
  await disk.stop();
  await turn();
  await look();
  assert.equal(clock.timers(), 0);
  assert.equal(asked.length, 2);
  assert.equal(disk.refusal(), undefined);
  await disk.stop();
});

test("where there is no disk nothing is refused", async () => {
  await noDiskWatermark.start();
  assert.equal(noDiskWatermark.refusal(), undefined);
  await noDiskWatermark.stop();
});
