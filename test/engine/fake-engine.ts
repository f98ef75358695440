/** A whole engine on a fake clock and a fake pool `cpu`, for tests of what it does with its store. */
import assert from "node:assert/strict";
import type { TestContext } from "node:test";
import { noDiskWatermark } from "../../src/engine/admit/disk-watermark.ts";
import { createEngine, type EngineParts } from "../../src/engine/engine.ts";
import { newId } from "../../src/job/id.ts";
import { createRegistry } from "../../src/metrics/registry.ts";
import type { Store } from "../../src/store/store.ts";
import { createFakeClock, type FakeClock, turn } from "../support/fake-clock.ts";
import { keptLog, loaded, noChecks, roomy, untraced } from "../support/samples.ts";
import { unlimited } from "./admit/try-admission.ts";
import { createFakePool } from "../pool/fake-pool.ts";

const hourMs = 3_600_000;
const tasks = new Map([["echo", loaded("echo")]]);

/** Not started. `workers`: of its pool. */
export function openFakeEngine({
  store,
  clock = createFakeClock(),
  workers = 1,
  ...overrides
}: Partial<Omit<EngineParts, "store" | "clock">> & {
  readonly store: Store;
  readonly clock?: FakeClock;
  readonly workers?: number;
}) {
  const pool = createFakePool({ workers, clock });
  const errors: unknown[] = [];
  const { log, lines } = keptLog();
  const engine = createEngine({
    ...{
      store,
      clock,
      log,
      pools: [pool],
      isolated: [createFakePool({ workers: 1, clock })],
      tasks: () => tasks,
      checks: noChecks,
    },
    ...{ tracing: untraced, registry: createRegistry(clock), random: () => 0, newId: () => newId(clock.now()) },
    ...{
      owner: "boot",
      leaseMs: 30_000,
      pollMs: 1_000,
      maxChunk: 128,
      scaling: roomy,
      rates: unlimited,
      disk: noDiskWatermark,
    },
    limits: {
      ...{ jobsPerSubmit: 1_000, inputBytes: 1_000, resultStreams: 10, watches: 10 },
      ...{ resultBatchBytes: 1_000_000, resultBudgetBytes: 32_000_000 },
    },
    maxQueued: new Map([["cpu", 100_000]]),
    retention: {
      ...{ acknowledgedMs: hourMs, unacknowledgedMs: hourMs, deadMs: hourMs },
      ...{ finishedJobs: 1e6, finishedMiB: 1e6, deadJobs: 1e6, deadMiB: 1e6 },
    },
    onDeath() {},
    onError: (error) => void errors.push(error),
    ...overrides,
  });
  return { engine, pool, clock, errors, lines };
}

/** Starts it as a server does. It stops with the test, and has had no error by then; `beforeStop` gives its store back. */
export async function startFakeEngine(
  t: Pick<TestContext, "after">,
  { engine, pool, clock, errors }: ReturnType<typeof openFakeEngine>,
  beforeStop: () => void,
): Promise<void> {
  await engine.recover();
  await engine.start();
  t.after(async () => {
    beforeStop();
    engine.readers.closeAll();
    const stopped = engine.stop();
    for (let rounds = 0; rounds < 5; rounds += 1) {
      pool.endAll();
      await pass(clock, 1_000);
    }
    await stopped;
    assert.deepEqual(errors, [], "it never failed");
  });
}

/** Lets everything run that waits for nothing but its turn. */
export async function settle(): Promise<void> {
  for (let each = 0; each < 20; each += 1) await turn();
}

/** Lets time pass in steps of a tenth of a second, and all that follows from each. */
export async function pass(clock: FakeClock, ms: number, afterStep = () => {}): Promise<void> {
  for (let passed = 0; passed < ms; passed += 100) {
    clock.advance(100);
    await settle();
    afterStep();
  }
  await settle();
}

/** Reads a channel into a list, for as long as the test runs. */
export async function follow(engine: Pick<ReturnType<typeof createEngine>, "readers">, channel = "default") {
  const reader = await engine.readers.open({ client: "ada", channel, afterCursor: 0, stopAtEnd: false });
  const results: { readonly id: string; readonly state: string; readonly attempts: number; readonly cursor: number }[] =
    [];
  const read = async () => {
    for (let batch = await reader.next(100); batch.length > 0; batch = await reader.next(100)) results.push(...batch);
  };
  return { results, close: reader.close, ended: read() };
}
