/** A whole engine on a store of its own, with a real pool. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { systemClock as clock } from "../../src/clock.ts";
import { noDiskWatermark } from "../../src/engine/admit/disk-watermark.ts";
import { createEngine, type EngineParts } from "../../src/engine/engine.ts";
import { newId } from "../../src/job/id.ts";
import { createRegistry } from "../../src/metrics/registry.ts";
import { maxChunk } from "../../src/pool/chunk.ts";
import { createPool } from "../../src/pool/pool.ts";
import { openStore } from "../../src/store/open.ts";
import { keptLog, loadHere, noResources, roomy, untraced } from "../support/samples.ts";
import { createFakePool } from "../pool/fake-pool.ts";

const kept = { acknowledgedMs: 3_600_000, unacknowledgedMs: 3_600_000, deadMs: 3_600_000 };
const bounds = { finishedJobs: 1_000_000, finishedMiB: 1_000, deadJobs: 1_000_000, deadMiB: 1_000 };

/** All built-in tasks in a pool `cpu` of two workers. Not started; ends with the test. */
export async function tryEngine(t: TestContext, overrides: Partial<EngineParts> = {}) {
  const folder = await mkdtemp(join(tmpdir(), "millpond-engine-"));
  const store = await openStore(join(folder, "test.sqlite"), { onFailure() {} });
  const { log, lines } = keptLog();
  const loaded = await loadHere(new URL("../../src/tasks/", import.meta.url));
  const tasks = new Map([...loaded.tasks.values()].map((task) => [task.name, { ...task, pool: "cpu" }]));
  const pool = createPool({
    ...{
      name: "cpu",
      work: "cpu",
      minWorkers: 2,
      maxWorkers: 2,
      idleMs: 60_000,
      graceMs: 1_000,
      loadMs: 30_000,
      clock,
      log,
    },
    tasks: [...tasks.values()],
    resourceHost: noResources,
    sources: null,
    outputBounds: { maxBytes: 1_000_000, maxValues: 20_000 },
  });
  const engine = createEngine({
    ...{
      store,
      tasks: () => tasks,
      clock,
      log,
      maxChunk,
      scaling: roomy,
      pools: [pool],
      tracing: untraced,
      disk: noDiskWatermark,
    },
    registry: createRegistry(clock),
    isolated: [createFakePool({ workers: 1, clock })],
    checks: loaded.checks,
    ...{ owner: "test", leaseMs: 30_000, pollMs: 1_000, random: Math.random, newId: () => newId(clock.now()) },
    rates: { perSecond: 0, burst: 1, clients: {} },
    limits: {
      ...{ jobsPerSubmit: 100_000, inputBytes: 1_000_000, resultStreams: 10, watches: 10 },
      resultBatchBytes: 1_000_000,
      resultBudgetBytes: 32_000_000,
    },
    maxQueued: new Map([["cpu", 1_000_000]]),
    retention: { ...kept, ...bounds },
    onDeath() {},
    onError: (error) => {
      throw error;
    },
    ...overrides,
  });
  t.after(async () => {
    const stopped = engine.stop();
    pool.releaseAll();
    await stopped;
    await pool.destroy();
    await store.close();
    await rm(folder, { recursive: true, force: true });
  });
  return { engine, store, pool, lines, clock };
}
