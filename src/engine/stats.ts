/** What the server counts while it runs. In memory only: it starts from zero at every start. */
import { createHistogram, type RecordableHistogram } from "node:perf_hooks";
import type { Clock } from "../clock.ts";
import type { Outcome } from "../job/job.ts";
import type { Ended } from "../pool/pool.ts";

/** Durations in milliseconds; null when nothing was measured. */
export type Percentiles = { readonly p50: number; readonly p90: number; readonly p99: number } | null;

export type TaskNumbers = {
  readonly task: string;
  readonly pool: string;
  readonly succeeded: number;
  readonly failed: number;
  readonly attemptsPerSecond: number;
  readonly queueWait: Percentiles;
  readonly execution: Percentiles;
};

export type ClientNumbers = { readonly accepted: number; readonly refused: number };

export type Stats = {
  admitted(client: string, jobs: number): void;
  refused(client: string, jobs: number): void;
  /** Attempts that ended and were written. */
  ended(attempts: readonly Ended[]): void;
  tasks(): readonly TaskNumbers[];
  client(client: string): ClientNumbers;
  /** Attempts of a pool that ended per second, over the last 10 s. */
  attemptsPerSecond(pool: string): number;
  uptimeMs(): number;
};

/** Clients beyond this many are counted together, under the last name, so that names cannot fill the memory. */
const maxClients = 10_000;
const otherClients = "(others)";
/** Percentiles cover the present window and the one before. */
const windowMs = 60_000;

export function createStats(clock: Clock): Stats {
  const startedAt = clock.monotonicMs();
  const tasks = new Map<string, TaskMeter>();
  const clients = new Map<string, { accepted: number; refused: number }>();

  function clientOf(client: string): { accepted: number; refused: number } {
    const name = clients.has(client) || clients.size < maxClients ? client : otherClients;
    const numbers = clients.get(name) ?? { accepted: 0, refused: 0 };
    clients.set(name, numbers);
    return numbers;
  }

  return {
    admitted(client, jobs) {
      clientOf(client).accepted += jobs;
    },
    refused(client, jobs) {
      clientOf(client).refused += jobs;
    },
    ended(attempts) {
      const now = clock.monotonicMs();
      for (const ended of attempts) {
        if (!hasRun(ended.outcome)) continue;
        const { task, pool } = ended.lease;
        let meter = tasks.get(task);
        if (!meter) tasks.set(task, (meter = createTaskMeter(task, pool, now)));
        meter.record(ended, now);
      }
    },
    tasks: () => [...tasks.values()].map((meter) => meter.read(clock.monotonicMs())),
    client: (client) => clients.get(client) ?? { accepted: 0, refused: 0 },
    attemptsPerSecond(pool) {
      const now = clock.monotonicMs();
      return [...tasks.values()]
        .filter((meter) => meter.pool === pool)
        .reduce((sum, meter) => sum + meter.rate(now), 0);
    },
    uptimeMs: () => clock.monotonicMs() - startedAt,
  };
}

/** Neither what was given back nor what came too late to be started was an attempt. */
function hasRun(outcome: Outcome): boolean {
  return outcome.kind !== "released" && (outcome.kind !== "expired" || outcome.hasStarted);
}

type TaskMeter = {
  readonly pool: string;
  record(ended: Ended, now: number): void;
  rate(now: number): number;
  read(now: number): TaskNumbers;
};

function createTaskMeter(task: string, pool: string, startedAt: number): TaskMeter {
  const queueWait = createWindowed(startedAt);
  const execution = createWindowed(startedAt);
  const rate = createRateMeter();
  let succeeded = 0;
  let failed = 0;
  return {
    pool,
    record({ lease, outcome, startedAt: began, tookMs }, now) {
      if (outcome.kind === "succeeded") succeeded += 1;
      else if (outcome.kind !== "cancelled") failed += 1; // somebody's wish is no failure
      if (outcome.kind === "lost") return; // found at a start, long after it ended: it has no times
      rate.count(now);
      queueWait.record(began - lease.runAt, now);
      execution.record(tookMs, now);
    },
    rate: rate.read,
    read: (now) => ({
      task,
      pool,
      succeeded,
      failed,
      attemptsPerSecond: rate.read(now),
      queueWait: queueWait.percentiles(now),
      execution: execution.percentiles(now),
    }),
  };
}

type Windowed = { record(ms: number, now: number): void; percentiles(now: number): Percentiles };

/** Percentiles over the last one to two windows, from two histograms (https://hdrhistogram.org) in turn. */
function createWindowed(startedAt: number): Windowed {
  let current = createHistogram();
  let previous = createHistogram();
  let windowEndsAt = startedAt + windowMs;

  function turn(now: number): void {
    if (now < windowEndsAt) return;
    const isOver = now >= windowEndsAt + windowMs;
    previous = isOver ? createHistogram() : current;
    current = createHistogram();
    windowEndsAt = isOver ? now + windowMs : windowEndsAt + windowMs;
  }

  return {
    record(ms, now) {
      turn(now);
      current.record(Math.max(1, Math.round(ms * 1000))); // microseconds: the histogram takes whole numbers from 1
    },
    percentiles(now) {
      turn(now);
      const both: RecordableHistogram = createHistogram();
      both.add(previous);
      both.add(current);
      if (both.count === 0) return null;
      return { p50: both.percentile(50) / 1000, p90: both.percentile(90) / 1000, p99: both.percentile(99) / 1000 };
    },
  };
}

const rateSeconds = 10;

/** Events per second over the last ten whole seconds, in one counter for each. */
function createRateMeter(): { count(now: number): void; read(now: number): number } {
  const counts = new Array<number>(rateSeconds + 1).fill(0);
  let second = 0;

  function turn(now: number): void {
    const present = Math.floor(now / 1000);
    const passed = Math.min(present - second, counts.length);
    for (let step = 1; step <= passed; step += 1) counts[(second + step) % counts.length] = 0;
    second = Math.max(present, second);
  }

  return {
    count(now) {
      turn(now);
      counts[second % counts.length] = (counts[second % counts.length] ?? 0) + 1;
    },
    read(now) {
      turn(now);
      const present = counts[second % counts.length] ?? 0;
      return (counts.reduce((sum, count) => sum + count, 0) - present) / rateSeconds;
    },
  };
}
