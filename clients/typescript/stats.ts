import { create } from "@bufbuild/protobuf";
import type { Duration } from "@bufbuild/protobuf/wkt";
import type { Percentiles, PoolStats, ResourceStats, Snapshot, TaskStats } from "../../src/gen/millpond/v1/stats_pb.ts";
import { type ClientStats, ClientStatsSchema } from "../../src/gen/millpond/v1/stats_pb.ts";
import { type PauseInfo, type ResizeInfo, toPause, toResize } from "./pools.ts";
import { toDate } from "./result.ts";

/** Percentiles of a duration in milliseconds; undefined when nothing was measured. */
export type PercentilesMs = {
  readonly p50: number | undefined;
  readonly p90: number | undefined;
  readonly p99: number | undefined;
};

/** A pool's queue and workers. */
export type PoolSnapshot = {
  readonly pool: string;
  /** Jobs waiting, and the bound on them. */
  readonly queued: number;
  readonly maxQueued: number;
  readonly running: number;
  /** Threads that exist now, and the bounds on them. */
  readonly workers: number;
  readonly minWorkers: number;
  readonly maxWorkers: number;
  /** Final jobs in the store, by how they ended. */
  readonly succeeded: number;
  readonly dead: number;
  readonly cancelled: number;
  /** How long the oldest due job has waited; 0 when none is due. */
  readonly oldestAgeMs: number;
  /** How long ago the oldest DEAD job died; 0 when there is none. */
  readonly oldestDeadAgeMs: number;
  /** No worker can run a job: those that start die or hang, and the server's log says why. */
  readonly isBroken: boolean;
  /** Of the running jobs, those that run in a process of their own: two server processes died while they ran. */
  readonly suspects: number;
  /** Undefined: it is not paused. */
  readonly pause: PauseInfo | undefined;
  /** Undefined: the bounds on its workers are those of the configuration. */
  readonly resize: ResizeInfo | undefined;
  /** Threads that the autoscaler wants now, between the bounds; those that are missing start when a job comes. */
  readonly target: number;
  /** Jobs that one thread runs at once. */
  readonly concurrency: number;
  /** Of the waiting jobs, those that a worker could run now, counted up to 10,000: they are due, and the pool is not paused. */
  readonly eligible: number;
  /** Of the threads, those that run at least one job. */
  readonly busyWorkers: number;
  /** What the autoscaler decided last, newest first, at most 10. */
  readonly decisions: readonly ScalingDecision[];
};

/** A change of a pool's target; or growth that was refused, and then `from` and `to` are equal. */
export type ScalingDecision = {
  readonly at: Date;
  readonly from: number;
  readonly to: number;
  readonly why: string;
};

/** One task's traffic: counts since the server started, percentiles over the last minute or two. */
export type TaskSnapshot = {
  readonly task: string;
  readonly pool: string;
  readonly succeeded: number;
  /** Attempts that failed, retried ones included. */
  readonly failed: number;
  readonly attemptsPerSecond: number;
  /** From when a job is due until its attempt starts, and from there to its end. */
  readonly queueWaitMs: PercentilesMs;
  readonly executionMs: PercentilesMs;
  /** New jobs that were accepted. */
  readonly accepted: number;
  /** Attempts after which the job was queued again. */
  readonly retries: number;
  /** Jobs that became DEAD, and CANCELLED. */
  readonly dead: number;
  readonly cancelled: number;
  /** Jobs that workers run now. */
  readonly running: number;
  /** Jobs that were accepted, and that became final, over the last 10 s. */
  readonly acceptedPerSecond: number;
  readonly finishedPerSecond: number;
  /** From the submit of a job until its outcome is on disk; of jobs that ran. */
  readonly endToEndMs: PercentilesMs;
};

/** One client's traffic: counts since the server started, percentiles over the last minute or two. */
export type ClientSnapshot = {
  readonly client: string;
  /** New jobs that were accepted. */
  readonly accepted: number;
  readonly refused: number;
  /** `refused` by reason, the most frequent first. */
  readonly refusedBy: readonly { readonly reason: string; readonly jobs: number }[];
  /** Jobs that were there already, under the same id or idempotency key. */
  readonly duplicates: number;
  /** The rate limit; `ratePerSecond` 0: there is none. */
  readonly ratePerSecond: number;
  readonly burst: number;
  /** How long the jobs of open streams have waited for it, in all. */
  readonly throttledMs: number;
  /** Jobs that became final, by how they ended. */
  readonly succeeded: number;
  readonly dead: number;
  readonly cancelled: number;
  /** Attempts after which the job was queued again. */
  readonly retries: number;
  /** Jobs that workers run now. */
  readonly running: number;
  /** Jobs that were accepted, and that became final, over the last 10 s. */
  readonly acceptedPerSecond: number;
  readonly finishedPerSecond: number;
  /** As in TaskSnapshot. Undefined values also where more clients are busy than the server keeps percentiles of. */
  readonly queueWaitMs: PercentilesMs;
  readonly executionMs: PercentilesMs;
  readonly endToEndMs: PercentilesMs;
};

/** What tasks share, such as connections. */
export type ResourceSnapshot = {
  readonly resource: string;
  /** Its parts, such as servers; the one without a name is the resource itself. `problem`: why it is away, or undefined. */
  readonly parts: readonly { readonly part: string; readonly problem: string | undefined; readonly ageMs: number }[];
  /** Those that workers hold, over the whole server, and attempts that wait for one. */
  readonly permits: readonly {
    readonly permits: string;
    readonly limit: number;
    readonly held: number;
    readonly waiting: number;
  }[];
};

/** What the server is doing at one moment. */
export type ServerSnapshot = {
  readonly uptimeMs: number;
  /** What the store's files take on the disk, and what of it is free for new jobs; 0 for a store in memory. */
  readonly store: { readonly sizeBytes: number; readonly freeBytes: number };
  readonly pools: readonly PoolSnapshot[];
  readonly tasks: readonly TaskSnapshot[];
  readonly resources: readonly ResourceSnapshot[];
  /** This client's own traffic. */
  readonly client: ClientSnapshot;
};

export function toServerSnapshot(snapshot: Snapshot | undefined): ServerSnapshot {
  return {
    uptimeMs: toMs(snapshot?.uptime) ?? 0,
    store: {
      sizeBytes: Number(snapshot?.store?.sizeBytes ?? 0),
      freeBytes: Number(snapshot?.store?.freeBytes ?? 0),
    },
    pools: (snapshot?.pools ?? []).map(toPoolSnapshot),
    tasks: (snapshot?.tasks ?? []).map(toTaskSnapshot),
    resources: (snapshot?.resources ?? []).map(toResourceSnapshot),
    client: toClientSnapshot(snapshot?.client ?? create(ClientStatsSchema)),
  };
}

export function toClientSnapshot(row: ClientStats): ClientSnapshot {
  return {
    client: row.client,
    accepted: Number(row.accepted),
    refused: Number(row.refused),
    refusedBy: row.refusedBy.map(({ reason, jobs }) => ({ reason, jobs: Number(jobs) })),
    duplicates: Number(row.duplicates),
    ratePerSecond: row.ratePerSecond,
    burst: row.burst,
    throttledMs: toMs(row.throttled) ?? 0,
    succeeded: Number(row.succeeded),
    dead: Number(row.dead),
    cancelled: Number(row.cancelled),
    retries: Number(row.retries),
    running: row.running,
    acceptedPerSecond: row.acceptedPerSecond,
    finishedPerSecond: row.finishedPerSecond,
    queueWaitMs: toPercentiles(row.queueWait),
    executionMs: toPercentiles(row.execution),
    endToEndMs: toPercentiles(row.endToEnd),
  };
}

function toPoolSnapshot(row: PoolStats): PoolSnapshot {
  return {
    pool: row.pool,
    queued: Number(row.queued),
    maxQueued: Number(row.maxQueued),
    running: row.running,
    workers: row.workers,
    minWorkers: row.minWorkers,
    maxWorkers: row.maxWorkers,
    succeeded: Number(row.succeeded),
    dead: Number(row.dead),
    cancelled: Number(row.cancelled),
    oldestAgeMs: toMs(row.oldestAge) ?? 0,
    oldestDeadAgeMs: toMs(row.oldestDeadAge) ?? 0,
    isBroken: row.broken,
    suspects: row.suspects,
    pause: toPause(row.pause),
    resize: toResize(row.resize),
    target: row.target,
    concurrency: row.concurrency,
    eligible: Number(row.eligible),
    busyWorkers: row.busyWorkers,
    decisions: row.decisions.map(({ at, from, to, why }) => ({ at: toDate(at) ?? new Date(0), from, to, why })),
  };
}

function toTaskSnapshot(row: TaskStats): TaskSnapshot {
  return {
    task: row.task,
    pool: row.pool,
    succeeded: Number(row.succeeded),
    failed: Number(row.failed),
    attemptsPerSecond: row.attemptsPerSecond,
    queueWaitMs: toPercentiles(row.queueWait),
    executionMs: toPercentiles(row.execution),
    accepted: Number(row.accepted),
    retries: Number(row.retries),
    dead: Number(row.dead),
    cancelled: Number(row.cancelled),
    running: row.running,
    acceptedPerSecond: row.acceptedPerSecond,
    finishedPerSecond: row.finishedPerSecond,
    endToEndMs: toPercentiles(row.endToEnd),
  };
}

function toResourceSnapshot({ resource, parts, permits }: ResourceStats): ResourceSnapshot {
  return {
    resource,
    parts: parts.map(({ part, problem, age }) => ({ part, problem: problem || undefined, ageMs: toMs(age) ?? 0 })),
    permits: permits.map(({ permits: name, limit, held, waiting }) => ({ permits: name, limit, held, waiting })),
  };
}

function toPercentiles(percentiles: Percentiles | undefined): PercentilesMs {
  return { p50: toMs(percentiles?.p50), p90: toMs(percentiles?.p90), p99: toMs(percentiles?.p99) };
}

/** With the parts of a millisecond, which matter here. */
function toMs(duration: Duration | undefined): number | undefined {
  return duration && Number(duration.seconds) * 1000 + duration.nanos / 1e6;
}
