/** Snapshots for the tests of `millpond top`. */
import type { PoolSnapshot, ServerSnapshot, TaskSnapshot } from "../../../clients/typescript/index.ts";

export function poolRow(pool: string, facts: Partial<PoolSnapshot> = {}): PoolSnapshot {
  return {
    ...{ pool, queued: 0, maxQueued: 1000, running: 0, workers: 2, minWorkers: 2, maxWorkers: 2 },
    ...{ succeeded: 0, dead: 0, cancelled: 0, oldestAgeMs: 0, oldestDeadAgeMs: 0, isBroken: false, suspects: 0 },
    ...facts,
  };
}

export function taskRow(task: string, facts: Partial<TaskSnapshot> = {}): TaskSnapshot {
  const unmeasured = { p50: undefined, p90: undefined, p99: undefined };
  return {
    ...{ task, pool: "cpu", succeeded: 0, failed: 0, attemptsPerSecond: 0 },
    ...{ queueWaitMs: unmeasured, executionMs: unmeasured },
    ...facts,
  };
}

export function snapshot(facts: Partial<ServerSnapshot> = {}): ServerSnapshot {
  return {
    uptimeMs: 60_000,
    store: { sizeBytes: 0, freeBytes: 0 },
    pools: [],
    tasks: [],
    client: { client: "a", accepted: 0, refused: 0, ratePerSecond: 0, burst: 0 },
    ...facts,
  };
}

/** A terminal without colours. */
export const colourless = {
  print: () => undefined,
  complain: () => undefined,
  status: () => undefined,
  clear: () => undefined,
  style: (_: string, text: string) => text,
  openScreen: () => undefined,
  endWithReader: () => undefined,
};
