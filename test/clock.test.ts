import assert from "node:assert/strict";
import { once } from "node:events";
import { test } from "node:test";
import { Worker } from "node:worker_threads";
import { originOf, systemClock } from "../src/clock.ts";

test("the wall clock gives whole milliseconds and agrees with the machine's at the start", () => {
  const now = systemClock.now();
  assert.ok(Number.isInteger(now));
  assert.ok(Math.abs(now - Date.now()) < 1_000);
});

test("the exact time agrees with the machine's to a tenth of a millisecond", () => {
  let ahead = -Infinity; // of a clock that gives whole milliseconds: 0 to 1; a pause between the two looks makes it less
  for (let looks = 0; looks < 100_000; looks++) ahead = Math.max(ahead, systemClock.exactNow() - Date.now());
  assert.ok(ahead > 0.9 && ahead < 1.1, `${ahead} ms`);
});

test("the wall clock does not follow the machine's when somebody sets it", (t) => {
  const before = systemClock.now();
  t.mock.method(Date, "now", () => 0);
  const after = systemClock.now();
  assert.ok(after >= before && after - before < 1_000);
});

test("time never goes back", () => {
  let last = systemClock.now();
  for (let looks = 0; looks < 10_000; looks += 1) {
    const now = systemClock.now();
    assert.ok(now >= last);
    last = now;
  }
});

test("a thread that takes the origin tells the same time, also when the machine's clock was set before it began", async (t) => {
  const clockUrl = JSON.stringify(new URL("../src/clock.ts", import.meta.url).href);
  const source = `
    const { parentPort, workerData } = require("node:worker_threads");
    Object.defineProperty(performance, "timeOrigin", { value: 0 }); // as if somebody had set the machine's clock
    void import(${clockUrl}).then(({ systemClock, takeOrigin }) => {
      const alone = systemClock.now();
      takeOrigin(workerData);
      parentPort.postMessage({ alone, agreed: systemClock.now() });
    });`;
  const before = systemClock.now();
  const worker = new Worker(source, { eval: true, workerData: originOf() });
  t.after(() => worker.terminate());
  const [{ alone, agreed }] = (await once(worker, "message")) as [{ alone: number; agreed: number }];
  const after = systemClock.now();
  assert.ok(alone < 60_000, `${alone}`);
  assert.ok(agreed >= before - 1 && agreed <= after + 1, `${before} ${agreed} ${after}`);
});

test("a thread that is paused while it compares the clocks tells the same time all the same", (t) => {
  const origin = originOf();
  const { bigint } = process.hrtime;
  const slowly = () => {
    for (const until = performance.now() + 20; performance.now() < until; );
    return bigint();
  };
  t.mock.method(process.hrtime, "bigint", slowly, { times: 2 });
  const off = originOf() - origin;
  assert.ok(Math.abs(off) < 1, `${off} ms`);
});

test("the wall clock can be kept from reading less than a time, and then goes on from there in new threads too", async (t) => {
  const clockUrl = JSON.stringify(new URL("../src/clock.ts", import.meta.url).href);
  const source = `
    const { parentPort, workerData } = require("node:worker_threads");
    void import(${clockUrl}).then(({ notBefore, systemClock, takeOrigin }) => {
      const early = [notBefore(systemClock.now() - 1_000), systemClock.now()];
      takeOrigin(workerData);
      const aheadMs = notBefore(systemClock.now() + 3_600_000);
      parentPort.postMessage({ early, aheadMs, later: systemClock.now() });
    });`;
  const before = systemClock.now();
  const worker = new Worker(source, { eval: true, workerData: originOf() });
  t.after(() => worker.terminate());
  const [{ early, aheadMs, later }] = (await once(worker, "message")) as [
    { early: [number, number]; aheadMs: number; later: number },
  ];
  assert.equal(early[0], 0, "a time that is past changes nothing");
  assert.ok(Math.abs(early[1] - before) < 60_000);
  assert.ok(aheadMs > 3_599_000 && aheadMs <= 3_600_000, `${aheadMs}`);
  assert.ok(later >= before + 3_599_000, `${later}`);
});
