import type { Duration } from "@bufbuild/protobuf/wkt";
import type { Percentiles, PoolStats, Snapshot, TaskStats } from "../../src/gen/millpond/v1/stats_pb.ts";

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
};

/** One task's speed: counts since the server started, percentiles over the last minute or two. */
export type TaskSnapshot = {
  readonly task: string;
  readonly pool: string;
  readonly succeeded: number;
  /** Attempts that failed, retried ones included. */
  readonly failed: number;
  readonly attemptsPerSecond: number;
  readonly queueWaitMs: PercentilesMs;
  readonly executionMs: PercentilesMs;
};

/** What the server is doing at one moment. */
export type ServerSnapshot = {
  readonly uptimeMs: number;
  /** What the store's files take on the disk, and what of it is free for new jobs; 0 for a store in memory. */
  readonly store: { readonly sizeBytes: number; readonly freeBytes: number };
  readonly pools: readonly PoolSnapshot[];
  readonly tasks: readonly TaskSnapshot[];
  /** This client's own traffic. `ratePerSecond` 0: no limit. */
  readonly client: {
    readonly client: string;
    readonly accepted: number;
    readonly refused: number;
    readonly ratePerSecond: number;
    readonly burst: number;
  };
};

export function toServerSnapshot(snapshot: Snapshot | undefined): ServerSnapshot {
  const client = snapshot?.client;
  return {
    uptimeMs: toMs(snapshot?.uptime) ?? 0,
    store: {
      sizeBytes: Number(snapshot?.store?.sizeBytes ?? 0),
      freeBytes: Number(snapshot?.store?.freeBytes ?? 0),
    },
    pools: (snapshot?.pools ?? []).map(toPoolSnapshot),
    tasks: (snapshot?.tasks ?? []).map(toTaskSnapshot),
    client: {
      client: client?.client ?? "",
      accepted: Number(client?.accepted ?? 0),
      refused: Number(client?.refused ?? 0),
      ratePerSecond: client?.ratePerSecond ?? 0,
      burst: client?.burst ?? 0,
    },
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
  };
}

function toPercentiles(percentiles: Percentiles | undefined): PercentilesMs {
  return { p50: toMs(percentiles?.p50), p90: toMs(percentiles?.p90), p99: toMs(percentiles?.p99) };
}

/** With the parts of a millisecond, which matter here. */
function toMs(duration: Duration | undefined): number | undefined {
  return duration && Number(duration.seconds) * 1000 + duration.nanos / 1e6;
}
