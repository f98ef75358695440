/** How busy the workers of the pools were in the last hour: sums of samples per second, kept per minute in a ring. */
import type { Clock } from "../../clock.ts";
import { createLoop, type Service } from "../../lifecycle.ts";

/** A sample of a pool. */
export type PoolLoad = {
  readonly pool: string;
  readonly workers: number;
  readonly busyWorkers: number;
  /** Jobs in chunks, of which each thread runs `concurrency` at once, and jobs whose outcome is not written. */
  readonly running: number;
  readonly concurrency: number;
};

/** The usage in at most an hour. Times are sums over workers, or over jobs. */
export type PoolUsage = {
  readonly observedMs: number;
  readonly workerMs: number;
  readonly busyMs: number;
  /** Time that jobs took, and the CPU time in it; null: unknown. */
  readonly jobMs: number;
  readonly cpuMs: number | null;
  readonly peakRunning: number;
  /** Time in which the machine had more runnable threads than cores, so that jobs took longer than their work. */
  readonly crowdedMs: number;
};

export type PoolUsages = Service & {
  of(pool: string): PoolUsage;
  /** Adds the time since the last sample, and the CPU time, which is otherwise read every ten seconds. */
  update(): Promise<void>;
};

export type PoolUsageParts = {
  readonly clock: Clock;
  readonly pools: () => readonly PoolLoad[];
  /** Resolves with the CPU time, in milliseconds, of a pool's workers since the last call. */
  readonly cpuMs: (pool: string) => Promise<number>;
  /** Whether work waits for a core of this machine. */
  readonly isCrowded: () => boolean;
};

const everyMs = 1_000;
const minuteMs = 60_000;
const minutes = 60;
/** More often than idle threads end, because the CPU time of ended threads is unknown. */
const cpuEveryMs = 10_000;
const none: PoolUsage = {
  ...{ observedMs: 0, workerMs: 0, busyMs: 0, jobMs: 0, cpuMs: null },
  ...{ peakRunning: 0, crowdedMs: 0 },
};

export function createPoolUsages({ clock, pools, cpuMs, isCrowded }: PoolUsageParts): PoolUsages {
  /** Newest last. */
  const ring = new Map<string, PoolUsage[]>();
  let sampledMs = clock.monotonicMs();

  function sample(): Promise<void> | undefined {
    const nowMs = clock.monotonicMs();
    const passedMs = nowMs - sampledMs;
    const isNew = (spanMs: number) => Math.floor(nowMs / spanMs) !== Math.floor(sampledMs / spanMs);
    const [isNewMinute, asksForCpu] = [isNew(minuteMs), isNew(cpuEveryMs)];
    sampledMs = nowMs;
    const crowdedMs = isCrowded() ? passedMs : 0;
    for (const load of pools()) {
      const kept = ring.get(load.pool) ?? [];
      ring.set(load.pool, kept);
      if (isNewMinute || kept.length === 0) kept.push(none);
      if (kept.length > minutes) kept.shift();
      kept.push(sum(kept.pop() as PoolUsage, { ...sampleOf(load, passedMs), crowdedMs }));
    }
    return asksForCpu ? addCpu() : undefined;
  }

  async function addCpu(): Promise<void> {
    const add = async ([pool, kept]: [string, PoolUsage[]]) => {
      const used = { ...none, cpuMs: await cpuMs(pool) };
      kept.push(sum(kept.pop() ?? none, used));
    };
    await Promise.all([...ring].map(add));
  }

  return {
    ...createLoop({ name: "usage of pools", clock, everyMs, round: sample }),
    of: (pool) => (ring.get(pool) ?? []).reduce(sum, none),
    async update() {
      await sample();
      await addCpu();
    },
  };
}

function sampleOf({ workers, busyWorkers, running, concurrency }: PoolLoad, ms: number): PoolUsage {
  const atOnce = Math.min(running, busyWorkers * concurrency);
  const [workerMs, busyMs, jobMs] = [workers * ms, busyWorkers * ms, atOnce * ms];
  return { ...none, observedMs: ms, workerMs, busyMs, jobMs, peakRunning: atOnce };
}

function sum(a: PoolUsage, b: PoolUsage): PoolUsage {
  return {
    observedMs: a.observedMs + b.observedMs,
    workerMs: a.workerMs + b.workerMs,
    busyMs: a.busyMs + b.busyMs,
    jobMs: a.jobMs + b.jobMs,
    cpuMs: a.cpuMs === null && b.cpuMs === null ? null : (a.cpuMs ?? 0) + (b.cpuMs ?? 0),
    peakRunning: Math.max(a.peakRunning, b.peakRunning),
    crowdedMs: a.crowdedMs + b.crowdedMs,
  };
}
