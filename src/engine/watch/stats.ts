/**
 * Counts jobs while the server runs: by task in the metrics registry, and by client. In memory only: the counts start
 * at zero with the server.
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
  /** This many jobs have waited this long because of their client's rate. */
  throttled(client: string, jobs: number, waitMs: number): void;
  /** Ended attempts, and what was written for them. */
  ended(attempts: readonly Ended[], settlements: readonly Settlement[]): void;
  /** A job that waited was cancelled. */
  cancelled(client: string, job: OfTask): void;
  redriven(pool: string): void;
  tasks(): readonly TaskNumbers[];
  client(client: string): ClientNumbers;
} & Pick<ClientMeters, "known"> & {
    busiest(limit: number): readonly ClientNumbers[];
    /** Ended attempts of a pool per second, over the last 10 s. */
    attemptsPerSecond(pool: string): number;
    uptimeMs(): number;
  };

/**
 * Further tasks, for example of jobs that earlier versions stored, are counted together. Their series fit into
 * `maxSeries`.
 */
const maxTasks = 1_000;
const otherTasks: OfTask = { task: "(others)", pool: "(others)" };

export function createStats(clock: Clock, registry: Registry): Stats {
  const startedAt = clock.monotonicMs();
  /** By task and pool: a task may have jobs in two pools, stored by an earlier version or before a reload. */
  const meters = new Map<string, TaskMeter>();
  const clients = createClientMeters();
  /** The last one used, because neighbours often have the same task. */
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
  const isTimed = hasRun && outcome.kind !== "lost"; // a lost attempt is found long after its end
  const isFinal = settlement.state !== "QUEUED";
  return {
    ended,
    settlement,
    hasRun,
    tookMs: Math.max(tookMs, 0),
    isRetry: hasRun && !isFinal,
    waitedMs: isTimed ? Math.max(startedAt - lease.runAt, 0) : null,
    // null for a redriven job, because the time until the redrive would count
    endToEndMs: isTimed && isFinal && lease.redrives === 0 ? Math.max(at - lease.submittedAt, 0) : null,
  };
}

/** Released jobs, and those that expired before their start, are no attempts. */
function isAttempt(outcome: Outcome): boolean {
  return outcome.kind !== "released" && (outcome.kind !== "expired" || outcome.hasStarted);
}
