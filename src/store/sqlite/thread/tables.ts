import { createChannels } from "../channels/channels.ts";
import { createResultCache } from "../channels/result-cache.ts";
import { createDamage } from "../integrity/damage.ts";
import { createEndedJobs, createHistory, createProgress } from "../jobs/attempts.ts";
import { createCounters } from "../jobs/counters.ts";
import { createIdempotencyKeys } from "../jobs/idempotency-keys.ts";
import { createLeases } from "../jobs/leases.ts";
import { createNames } from "../jobs/names.ts";
import { createReadyQueue } from "../jobs/ready-queue.ts";
import { createStoredJobs } from "../jobs/stored-jobs.ts";
import type { Sql } from "./connection.ts";

export type Tables = ReturnType<typeof createTables>;

/** The parts that the statements share. */
export function createTables(sql: Sql, onDamage: (sentence: string) => void) {
  const names = createNames(sql);
  const channels = createChannels(sql);
  const resultCache = createResultCache();
  const counters = createCounters(sql, names);
  const damage = createDamage(onDamage);
  const history = createHistory(sql);
  const storedJobs = createStoredJobs(sql, names, channels, history, damage);
  return {
    ...{ names, channels, resultCache, counters, damage, history, ...storedJobs },
    ended: createEndedJobs(sql, channels, resultCache, counters),
    keys: createIdempotencyKeys(sql, damage),
    leases: createLeases(sql, storedJobs),
    progress: createProgress(sql),
    readyQueue: createReadyQueue(sql),
  };
}
