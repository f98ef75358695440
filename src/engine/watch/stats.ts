/**
 * What the server counts of jobs while it runs, in the registry of metrics, and by client beside it. In memory only: it
 * starts from zero at every start.
 */
import type { Clock } from "../../clock.ts";
import type { Outcome, Settlement } from "../../job/job.ts";
import type { Registry } from "../../metrics/registry.ts";
import type { Ended } from "../../pool/pool.ts";
import { type ClientMeters, type ClientNumbers, createClientMeters } from "./client-meters.ts";
import { createTaskMeter, keyOf, type OfTask, type TaskMeter, type TaskNumbers, type Written } from "./task-meter.ts";

export type Stats = {
  admitted(client: string, job: OfTask, outcome: "accepted" | "duplicate", jobs: number): void;
  refused(client: string, reason: string, jobs: number): void;
  /** This many jobs wait this long for their client's rate. */
  throttled(client: string, jobs: number, waitMs: number): void;
  /** Attempts that ended, with what was written for them. */
  ended(attempts: readonly Ended[], settlements: readonly Settlement[]): void;
  /** A job that waited was cancelled. */
  cancelled(client: string, job: OfTask): void;
  redriven(pool: string): void;
  tasks(): readonly TaskNumbers[];
  client(client: string): ClientNumbers;
} & Pick<ClientMeters, "known"> & {
    busiest(limit: number): readonly ClientNumbers[];
    /** Attempts of a pool that ended per second, over the last 10 s. */
    attemptsPerSecond(pool: string): number;
    uptimeMs(): number;
  };

/** Tasks beyond this many, as of jobs that earlier versions stored, are counted together. Their series fit into `maxSeries`. */
const maxTasks = 1_000;
const otherTasks: OfTask = { task: "(others)", pool: "(others)" };

export function createStats(clock: Clock, registry: Registry): Stats {
  const startedAt = clock.monotonicMs();
  /** A task may have jobs in two pools: stored by an earlier version, or before it was reloaded. */
  const meters = new Map<string, TaskMeter>();
  const clients = createClientMeters();
  /** Jobs of one task often come together. */
  let last: TaskMeter | undefined;
  const throttledSeconds = registry.counter("millpond.throttle.time");
  const throttledJobs = registry.counter("millpond.throttle.jobs");

  function meterOf(job: OfTask): TaskMeter {
    if (last?.task === job.task && last.pool === job.pool) return last;
    const own = meters.has(keyOf(job)) || meters.size < maxTasks ? job : otherTasks;
    const key = keyOf(own);
    let meter = meters.get(key);
    if (!meter) meters.set(key, (meter = createTaskMeter(own, registry, clock.monotonicMs())));
    last = meter;
    return meter;
  }

  return {
    admitted(client, job, outcome, jobs) {
      const now = clock.monotonicMs();
      meterOf(job).admitted(outcome, jobs, now);
      clients.admitted(client, outcome, jobs, now);
    },
    refused(client, reason, jobs) {
      registry.counter("millpond.jobs.refused", { reason }).value += jobs;
      clients.refused(client, reason, jobs, clock.monotonicMs());
    },
    throttled(client, jobs, waitMs) {
      throttledJobs.value += jobs;
      throttledSeconds.value += waitMs / 1000;
      clients.throttled(client, waitMs, clock.monotonicMs());
    },
    ended(attempts, settlements) {
      const now = clock.monotonicMs();
      const at = clock.now();
      for (const [index, ended] of attempts.entries()) {
        const written = writtenOf(ended, settlements[index]!, at);
        if (!written.hasRun && written.settlement.state === "QUEUED") continue;
        meterOf(ended.lease).written(written, now);
        clients.written(ended.lease.client, written, now);
      }
    },
    cancelled(client, job) {
      const now = clock.monotonicMs();
      meterOf(job).cancelled(now);
      clients.cancelled(client, now);
    },
    redriven(pool) {
      registry.counter("millpond.jobs.redriven", { pool }).value += 1;
    },
    tasks: () => [...meters.values()].map((meter) => meter.read(clock.monotonicMs())),
    client: (client) => clients.read(client, clock.monotonicMs()),
    busiest: (limit) => clients.busiest(limit, clock.monotonicMs()),
    known: clients.known,
    attemptsPerSecond(pool) {
      const now = clock.monotonicMs();
      return [...meters.values()]
        .filter((meter) => meter.pool === pool)
        .reduce((sum, meter) => sum + meter.attemptsPerSecond(now), 0);
    },
    uptimeMs: () => clock.monotonicMs() - startedAt,
  };
}

function writtenOf(ended: Ended, settlement: Settlement, at: number): Written {
  const { lease, outcome, startedAt, tookMs } = ended;
  const hasRun = isAttempt(outcome);
  const isTimed = hasRun && outcome.kind !== "lost"; // that was found at a start, long after it ended
  const isFinal = settlement.state !== "QUEUED";
  return {
    ended,
    settlement,
    hasRun,
    tookMs: Math.max(tookMs, 0),
    isRetry: hasRun && !isFinal,
    waitedMs: isTimed ? Math.max(startedAt - lease.runAt, 0) : null,
    // A redriven job has none: the time until the redrive would count.
    endToEndMs: isTimed && isFinal && lease.redrives === 0 ? Math.max(at - lease.submittedAt, 0) : null,
  };
}

/** Neither what was given back nor what came too late to be started was an attempt. */
function isAttempt(outcome: Outcome): boolean {
  return outcome.kind !== "released" && (outcome.kind !== "expired" || outcome.hasStarted);
}
