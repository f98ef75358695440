/** `AdminService`: calls for operators. */
import { create } from "@bufbuild/protobuf";
import type { Duration } from "@bufbuild/protobuf/wkt";
import { type Clock, pause } from "../clock.ts";
import type { Draining } from "../engine/upkeep/draining.ts";
import type { Numbers } from "../engine/numbers.ts";
import { invalid } from "../errors.ts";
import {
  type AdminService,
  DrainResponseSchema,
  ListClientsResponseSchema,
  ProfileResponseSchema,
  SetLogLevelResponseSchema,
} from "../gen/millpond/v1/admin_pb.ts";
import type { LogControl } from "../log.ts";
import type { Profiler } from "../profile.ts";
import type { Store } from "../store/store.ts";
import { fromLogThreshold, toLogThreshold, toProfileKind } from "./convert/admin.ts";
import { durationToMs } from "./convert/time.ts";
import { createPoolMethods, type PoolsParts } from "./pools.ts";
import type { Implementation } from "./served.ts";
import { clientStats, type ClientStatsParts, runningByClient } from "./snapshot.ts";

export type AdminParts = ClientStatsParts &
  PoolsParts & {
    readonly drain: Pick<Draining, "start" | "ended">;
    /** Number of running jobs. */
    readonly running: () => number;
    readonly store: Pick<Store, "counts">;
    readonly numbers: Pick<Numbers, "started" | "pools">;
    readonly logControl: LogControl;
    readonly profiler: Profiler;
    readonly clock: Clock;
  };

const maxWaitMs = 3_600_000;
const [shortestLogChangeMs, longestLogChangeMs] = [1_000, 86_400_000];
const [shortestProfileMs, usualProfileMs, longestProfileMs] = [1_000, 10_000, 60_000];
const maxClients = 1_000;
const usualClients = 100;

export function createAdmin(parts: AdminParts): Implementation<typeof AdminService> {
  const { drain, running, store, stats, numbers, logControl, profiler, clock } = parts;
  return {
    ...createPoolMethods(parts),
    async drain({ wait }, { signal }) {
      const waitMs = boundedMs(wait, "wait", 0, maxWaitMs) ?? 0;
      drain.start();
      if (waitMs > 0) {
        const enough = new AbortController();
        const over = AbortSignal.any([signal, enough.signal]);
        void drain.ended().finally(() => enough.abort());
        await pause(clock, waitMs, over);
      }
      const { pools } = await store.counts();
      const queued = pools.reduce((sum, pool) => sum + pool.QUEUED, 0);
      return create(DrainResponseSchema, { running: running(), queued: BigInt(queued) });
    },
    async listClients({ limit }) {
      if (limit > maxClients)
        throw invalid([{ field: "limit", description: `is ${limit} and must be 0 to ${maxClients}` }]);
      const runningOf = runningByClient(numbers);
      const clients = stats.busiest(limit || usualClients).map((each) => clientStats(parts, each, runningOf));
      return create(ListClientsResponseSchema, { clients, known: stats.known() });
    },
    async setLogLevel({ level, duration }) {
      const forMs = boundedMs(duration, "duration", shortestLogChangeMs, longestLogChangeMs);
      const threshold = toLogThreshold(level);
      const previous = fromLogThreshold(logControl.threshold());
      logControl.setThreshold(threshold, forMs);
      return create(SetLogLevelResponseSchema, { level: fromLogThreshold(logControl.threshold()), previous });
    },
    async profile({ kind, target, duration }, { signal }) {
      const durationMs = boundedMs(duration, "duration", shortestProfileMs, longestProfileMs) ?? usualProfileMs;
      const profiles = await profiler.profile({ kind: toProfileKind(kind), target, durationMs }, signal);
      return create(ProfileResponseSchema, {
        profiles: profiles.map((each) => ("path" in each ? { ...each, bytes: BigInt(each.bytes) } : each)),
      });
    },
  };
}

function boundedMs(duration: Duration | undefined, field: string, min: number, max: number): number | undefined {
  if (!duration) return undefined;
  const ms = durationToMs(duration);
  if (ms >= min && ms <= max) return ms;
  throw invalid([{ field, description: `is ${ms} ms and must be ${min} to ${max} ms` }]);
}
