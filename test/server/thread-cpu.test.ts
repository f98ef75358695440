import assert from "node:assert/strict";
import { once } from "node:events";
import { test } from "node:test";
import { Worker } from "node:worker_threads";
import { systemClock } from "../../src/clock.ts";
import { createThreadCpu } from "../../src/server/thread-cpu.ts";
import { createFakeClock, turn } from "../support/fake-clock.ts";

/** Computes for as long as it is told to. */
const spinner = `
  const { parentPort } = require("node:worker_threads");
  parentPort.on("message", (ms) => {
    for (let end = process.threadCpuUsage().user / 1000 + ms; process.threadCpuUsage().user / 1000 < end; );
    parentPort.postMessage("done");
  });
`;

test("the processor's time of a pool is that of its threads since it was last asked, and ended ones take none", async () => {
  const thread = new Worker(spinner, { eval: true });
  await once(thread, "online");
  const cpuMs = createThreadCpu({ clock: systemClock, pools: [{ name: "cpu", threads: () => [thread] }] });
  await cpuMs("cpu");
  thread.postMessage(200);
  await once(thread, "message");
  const spun = await cpuMs("cpu");
  assert.ok(spun >= 150, `${spun} ms`);
  assert.ok((await cpuMs("cpu")) < spun);
  assert.equal(await cpuMs("io"), 0);
  await thread.terminate();
  assert.equal(await cpuMs("cpu"), 0);
});

test("a thread that does not answer is waited for a second and not asked again, and its time comes with its answer", async () => {
  const clock = createFakeClock();
  let asked = 0;
  let answer = (_usage: { user: number; system: number }) => {};
  const stuck = {
    cpuUsage() {
      asked += 1;
      return new Promise((resolve) => (answer = resolve));
    },
  } as unknown as Worker;
  const cpuMs = createThreadCpu({ clock, pools: [{ name: "io", threads: () => [stuck] }] });
  const first = cpuMs("io");
  clock.advance(1_000);
  assert.deepEqual([await first, await cpuMs("io"), asked], [0, 0, 1]);
  answer({ user: 400_000, system: 100_000 });
  await turn();
  const next = cpuMs("io");
  answer({ user: 600_000, system: 100_000 });
  assert.deepEqual([await next, asked], [700, 2]);
});
