import assert from "node:assert/strict";
import { once } from "node:events";
import { test } from "node:test";
import { Worker } from "node:worker_threads";
import { createThreadCpu } from "../../src/server/thread-cpu.ts";

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
  const cpuMs = createThreadCpu([{ name: "cpu", threads: () => [thread] }]);
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
