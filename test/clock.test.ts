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
    Date.now = () => 0; // as if somebody had set the machine's clock
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
