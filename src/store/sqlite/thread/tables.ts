import type { DatabaseSync } from "node:sqlite";
import { type Channels, createChannels } from "../channels/channels.ts";
import { createDamage, type Damage } from "../integrity/damage.ts";
import { type Counters, createCounters } from "../jobs/counters.ts";
import { createEndedJobs, type EndedJobs } from "../jobs/ended-jobs.ts";
import { createProgress, type Progress } from "../jobs/few-jobs.ts";
import { createHistory, type History } from "../jobs/history.ts";
import { createIdempotencyKeys, type IdempotencyKeys } from "../jobs/idempotency-keys.ts";
import { createKnownJob, type KnownJob } from "../jobs/known-job.ts";
import { createLeases, type Leases } from "../jobs/leases.ts";
import { createNames, type Names } from "../jobs/names.ts";
import { createPoolOverrides, type PoolOverrideRows } from "../jobs/pool-overrides.ts";
import { createReadyQueue, type ReadyQueue } from "../jobs/ready-queue.ts";

/** What the statements about jobs share. */
export type Tables = KnownJob & {
  readonly channels: Channels;
  readonly counters: Counters;
  readonly damage: Damage;
  readonly ended: EndedJobs;
  readonly history: History;
  readonly keys: IdempotencyKeys;
  readonly leases: Leases;
  readonly names: Names;
  readonly overrides: PoolOverrideRows;
  readonly progress: Progress;
  readonly readyQueue: ReadyQueue;
};

export function createTables(db: DatabaseSync, onDamage: (sentence: string) => void): Tables {
  const names = createNames(db);
  const channels = createChannels(db);
  const counters = createCounters(db, names);
  const history = createHistory(db);
  const knownJob = createKnownJob(db, names, channels, history);
  const damage = createDamage(onDamage);
  return {
    ...{ names, channels, counters, damage, history },
    ended: createEndedJobs(db, channels, counters),
    keys: createIdempotencyKeys(db, names, damage),
    ...knownJob,
    leases: createLeases(db, knownJob),
    overrides: createPoolOverrides(db, damage),
    progress: createProgress(db),
    readyQueue: createReadyQueue(db),
  };
}
