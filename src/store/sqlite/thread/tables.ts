import type { DatabaseSync } from "node:sqlite";
import { createChannels } from "../channels/channels.ts";
import { createResultCache } from "../channels/result-cache.ts";
import { createDamage } from "../integrity/damage.ts";
import { createCounters } from "../jobs/counters.ts";
import { createEndedJobs } from "../jobs/ended-jobs.ts";
import { createHistory } from "../jobs/history.ts";
import { createIdempotencyKeys } from "../jobs/idempotency-keys.ts";
import { createKnownJob } from "../jobs/known-job.ts";
import { createLeases } from "../jobs/leases.ts";
import { createNames } from "../jobs/names.ts";
import { createPoolOverrides } from "../jobs/pool-overrides.ts";
import { createProgress } from "../jobs/progress.ts";
import { createReadyQueue } from "../jobs/ready-queue.ts";

export type Tables = ReturnType<typeof createTables>;

/** What the statements about jobs share. */
export function createTables(db: DatabaseSync, onDamage: (sentence: string) => void) {
  const names = createNames(db);
  const channels = createChannels(db);
  const resultCache = createResultCache();
  const counters = createCounters(db, names);
  const history = createHistory(db);
  const knownJob = createKnownJob(db, names, channels, history);
  const damage = createDamage(onDamage);
  return {
    ...{ names, channels, resultCache, counters, damage, history, ...knownJob },
    ended: createEndedJobs(db, channels, resultCache, counters),
    keys: createIdempotencyKeys(db, names, damage),
    leases: createLeases(db, knownJob),
    overrides: createPoolOverrides(db, damage),
    progress: createProgress(db),
    readyQueue: createReadyQueue(db),
  };
}
