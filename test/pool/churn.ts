/**
 * Lets a pool grow and shrink, for `churn.test.ts`: `node churn.ts CYCLES`. A process of its own, for what it measures is
 * that of the whole process; it prints one line of JSON for every tenth cycle.
 */
import assert from "node:assert/strict";
import { once } from "node:events";
import { readdirSync } from "node:fs";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { allTasks, job, tryPool } from "./try-pool.ts";

export type Measure = {
  readonly cycle: number;
  readonly residentMiB: number;
  readonly descriptors: number;
  readonly threads: number;
};

const workers = 2;
const idleMs = 1;
const everyCycles = 10;

const cycles = Number(process.argv[2]);
setFlagsFromString("--expose-gc");
const collect = runInNewContext("gc") as () => void;
const tasks = allTasks.filter(({ name }) => name === "echo");
let destroy: () => unknown = () => {};
const t = { after: (end: () => unknown) => void (destroy = end) };
const alive = setInterval(() => {}, 60_000); // an idle pool does not keep its process
const { pool } = tryPool(t, { tasks, minWorkers: 0, maxWorkers: workers, idleMs });

for (let cycle = 1; cycle <= cycles; cycle += 1) {
  pool.setTarget(workers);
  const chunks = Array.from({ length: workers }, (_, index) => pool.run([job("echo", index)]));
  const exits = pool.threads().map((thread) => once(thread, "exit"));
  await Promise.all(chunks); // some may be given back, where the machine is so busy that a thread seems to hang
  pool.setTarget(0);
  await Promise.all(exits);
  assert.equal(exits.length, workers);
  if (cycle % everyCycles === 0) print(cycle);
}
await destroy();
clearInterval(alive);

function print(cycle: number): void {
  collect();
  const measure: Measure = {
    cycle,
    residentMiB: Math.round(process.memoryUsage.rss() / 2 ** 20),
    descriptors: readdirSync("/proc/self/fd").length,
    threads: readdirSync("/proc/self/task").length,
  };
  process.stdout.write(`${JSON.stringify(measure)}\n`);
}
