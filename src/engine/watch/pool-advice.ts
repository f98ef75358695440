/**
 * Advises on the size of a pool, from measurements: the pattern's rules (as many workers as cores for CPU work, twice
 * as many for mixed work, four times as many for I/O work), adjusted by how busy the workers were, how long jobs
 * waited, and the share of CPU time. docs/sizing.md explains it with examples. Pure.
 */
import type { PoolUsage } from "./pool-usage.ts";

export type Work = "cpu" | "io" | "mixed" | "limited";

export type PoolSizing = {
  readonly work: Work;
  readonly min: number;
  readonly max: number;
  /** Jobs that one worker runs at once. */
  readonly concurrency: number;
};

export type MeasuredPool = PoolUsage & {
  readonly now: PoolSizing;
  readonly cores: number;
  /** Attempts since the server started. */
  readonly attempts: number;
  /** Waiting times of the last minute or two; null: nothing was measured. */
  readonly waitMs: { readonly p50: number; readonly p99: number } | null;
};

export type PoolAdvice = {
  /** Whether enough was measured; if not, the advised sizing is the current one. */
  readonly isFounded: boolean;
  readonly sizing: PoolSizing;
  /** For people, in sentences. */
  readonly why: readonly string[];
  /** Share of the workers' time in which they ran a job; and share of the jobs' time in which they used a CPU. */
  readonly busyShare: number;
  readonly cpuShare: number | null;
};

const enough = { observedMs: 60_000, attempts: 20, jobMs: 5_000 };
/** Longer waits are noticed by users. */
const longWaitMs = 1_000;
const startMs = 100;
const workersPerCore = { cpu: 1, mixed: 2, io: 4 } as const;
/** Share of the time in which the machine may be overloaded without an effect on the advice. */
const crowdedShare = 0.1;
/** A pool has no room if its workers, up to its maximum, are busy for this share of their time. */
const fullShare = 0.9;
/** The default concurrency of pools for `io` work. */
const usualConcurrency = 32;
const mostConcurrency = 256;

export function advise(measured: MeasuredPool): PoolAdvice {
  const { now, workerMs, busyMs, jobMs } = measured;
  const busyShare = share(busyMs, workerMs);
  const cpuShare = measured.cpuMs === null || jobMs === 0 ? null : share(measured.cpuMs, jobMs);
  const missing = missingOf(measured);
  if (missing.length > 0) {
    const why = [`too little is known: ${missing.join(", ")}`];
    return { isFounded: false, sizing: now, why, busyShare, cpuShare };
  }
  const why: string[] = [];
  const work = workOf(measured, cpuShare, why);
  const grown = grow({ ...now, work }, measured, why);
  const sizing = { ...grown, min: leastOf(grown, measured, why) };
  if (why.length === 0)
    why.push(`it fits: workers are busy for ${percent(busyShare)} of their time, and jobs do not wait long`);
  return { isFounded: true, sizing, why, busyShare, cpuShare };
}

/** The measurements that are still missing. */
function missingOf({ attempts, jobMs, observedMs }: MeasuredPool): readonly string[] {
  return [
    ...(attempts < enough.attempts ? [`${attempts} of ${count(enough.attempts, "attempt")}`] : []),
    ...(jobMs < enough.jobMs ? [`${seconds(jobMs)} of ${seconds(enough.jobMs)} of work`] : []),
    ...(observedMs < enough.observedMs ? [`measured for ${seconds(observedMs)} of ${seconds(enough.observedMs)}`] : []),
  ];
}

/** The kind of work, by the CPU's share of the jobs' time. `limited` work cannot be detected by measurements. */
function workOf({ now, observedMs, crowdedMs }: MeasuredPool, cpuShare: number | null, why: string[]): Work {
  if (now.work === "limited" || cpuShare === null) return now.work;
  const work = cpuShare >= 0.7 ? "cpu" : cpuShare <= 0.2 ? "io" : "mixed";
  // while jobs wait for a core, they take time without using the CPU, which makes the share too small
  if (work !== now.work && work !== "cpu" && crowdedMs > crowdedShare * observedMs) {
    why.push("the machine had more to run than cores: what kind of work the jobs are can be measured when it has less");
    return now.work;
  }
  if (work !== now.work)
    why.push(`jobs keep a processor busy for ${percent(cpuShare)} of their time: that is ${work} work`);
  return work;
}

/** The upper bound and the concurrency. */
function grow(sizing: PoolSizing, measured: MeasuredPool, why: string[]): PoolSizing {
  const { work, max, concurrency } = sizing;
  const { cores, peakRunning, waitMs } = measured;
  const isFull = peakRunning >= max * concurrency && (waitMs?.p99 ?? 0) > longWaitMs;
  const waits = `all ${max * concurrency} places were taken and jobs waited for ${seconds(waitMs?.p99 ?? 0)} (p99)`;
  if (work === "limited") {
    if (isFull) why.push(`${waits}: raise max only if what the jobs use allows more than ${max * concurrency} at once`);
    return sizing;
  }
  const most = cores * workersPerCore[work];
  if (work === "cpu") {
    if (concurrency > 1) why.push("jobs that compute hold up the others in their worker: concurrency 1");
    if (max > most) why.push(`${count(most, "core")} cannot run ${count(max, "worker")} at once: max ${most}`);
    else if (isFull && max < most) why.push(`${waits}: max ${most}, as many as cores`);
    else if (isFull)
      why.push(
        `${waits}, on all ${count(cores, "core")}: more workers would make each job slower; more cores would not`,
      );
    return { ...sizing, concurrency: 1, max: max > most || isFull ? most : max, min: Math.min(sizing.min, most) };
  }
  if (work === "io" && concurrency === 1 && peakRunning > cores) {
    const needed = Math.max(1, Math.ceil((2 * peakRunning) / usualConcurrency));
    // how many jobs a pool without room would have run at once is unknown
    const workers = measured.busyMs >= fullShare * max * measured.observedMs ? max : needed;
    why.push(
      `${count(peakRunning, "job")} at once mostly waited, each in a worker of its own: concurrency ${usualConcurrency} needs ${count(workers, "worker")} for twice as many`,
    );
    return { ...sizing, concurrency: usualConcurrency, max: workers, min: Math.min(sizing.min, workers) };
  }
  if (!isFull) return sizing;
  if (max < most) {
    const next = Math.min(most, 2 * max);
    why.push(`${waits}: max ${next}`);
    return { ...sizing, max: next };
  }
  if (work === "io" && concurrency < mostConcurrency) {
    const next = Math.min(mostConcurrency, 2 * concurrency);
    why.push(`${waits}: concurrency ${next}, which costs less memory than more workers`);
    return { ...sizing, concurrency: next };
  }
  why.push(`${waits}, and it has ${workersPerCore[work]} workers for each core: see what its jobs wait for`);
  return sizing;
}

/** The lower bound: idle workers cost memory, and with too few, jobs wait for the start of a worker. */
function leastOf(
  { min, max }: PoolSizing,
  { busyMs, observedMs, waitMs, peakRunning, now }: MeasuredPool,
  why: string[],
): number {
  const busy = Math.ceil(busyMs / observedMs);
  const isFull = peakRunning >= now.max * now.concurrency;
  if (min > 1 && busyMs / observedMs < min / 4) {
    const least = Math.max(1, busy);
    why.push(
      `${min} workers are kept and ${(busyMs / observedMs).toFixed(1)} were busy on average: min ${least} saves memory`,
    );
    return least;
  }
  if (min < busy && !isFull && (waitMs?.p50 ?? 0) > startMs) {
    const least = Math.min(busy, max);
    why.push(
      `half of the jobs waited for ${seconds(waitMs?.p50 ?? 0)} or more though there was room: min ${least} keeps workers ready`,
    );
    return least;
  }
  return min;
}

const share = (part: number, whole: number) => (whole === 0 ? 0 : Math.min(part / whole, 1));
const percent = (part: number) => `${Math.round(part * 100)} %`;
const seconds = (ms: number) => (ms < 1_000 ? `${Math.round(ms)} ms` : `${(ms / 1_000).toFixed(1)} s`);
const count = (number: number, noun: string) => `${number} ${noun}${number === 1 ? "" : "s"}`;
