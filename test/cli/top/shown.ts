/** Snapshots for the tests of `millpond top`. */
import type { ClientSnapshot, PoolSnapshot, ServerSnapshot, TaskSnapshot } from "../../../clients/typescript/index.ts";

export function poolRow(pool: string, facts: Partial<PoolSnapshot> = {}): PoolSnapshot {
  return {
    ...{ pool, queued: 0, maxQueued: 1000, running: 0, workers: 2, minWorkers: 2, maxWorkers: 2 },
    ...{ succeeded: 0, dead: 0, cancelled: 0, oldestAgeMs: 0, oldestDeadAgeMs: 0, isBroken: false, suspects: 0 },
    ...{ pause: undefined, resize: undefined, target: 2, concurrency: 1, eligible: 0, busyWorkers: 0, decisions: [] },
    ...facts,
  };
}

const unmeasured = { p50: undefined, p90: undefined, p99: undefined };
const durations = { queueWaitMs: unmeasured, executionMs: unmeasured, endToEndMs: unmeasured };
const counts = { accepted: 0, succeeded: 0, dead: 0, cancelled: 0, retries: 0, running: 0 };
const rates = { acceptedPerSecond: 0, finishedPerSecond: 0 };

export function taskRow(task: string, facts: Partial<TaskSnapshot> = {}): TaskSnapshot {
  return { task, pool: "cpu", ...counts, failed: 0, ...rates, attemptsPerSecond: 0, ...durations, ...facts };
}

export function clientRow(client: string, facts: Partial<ClientSnapshot> = {}): ClientSnapshot {
  const admission = { refused: 0, refusedBy: [], duplicates: 0, ratePerSecond: 0, burst: 0, throttledMs: 0 };
  return { client, ...counts, ...admission, ...rates, ...durations, ...facts };
}

export function snapshot(facts: Partial<ServerSnapshot> = {}): ServerSnapshot {
  return {
    uptimeMs: 60_000,
    store: { sizeBytes: 0, freeBytes: 0 },
    pools: [],
    tasks: [],
    resources: [],
    client: clientRow("a"),
    ...facts,
  };
}

/** A terminal without colours. */
export const colourless = {
  print: () => undefined,
  printError: () => undefined,
  status: () => undefined,
  clear: () => undefined,
  style: (_: string, text: string) => text,
  openScreen: () => undefined,
  endWithReader: () => undefined,
};
