/** `AdminService`, for those who run the server. */
import { create } from "@bufbuild/protobuf";
import type { Duration } from "@bufbuild/protobuf/wkt";
import { type Clock, pause } from "../clock.ts";
import type { Draining } from "../engine/draining.ts";
import type { Numbers } from "../engine/numbers.ts";
import { invalid } from "../errors.ts";
import { type AdminService, DrainResponseSchema, ListClientsResponseSchema } from "../gen/millpond/v1/admin_pb.ts";
import type { Store } from "../store/store.ts";
import { durationToMs } from "./convert/time.ts";
import type { Implementation } from "./served.ts";
import { clientStats, type ClientStatsParts, runningByClient } from "./snapshot.ts";

export type AdminParts = ClientStatsParts & {
  readonly drain: Pick<Draining, "start" | "ended">;
  /** Jobs that run. */
  readonly running: () => number;
  readonly store: Pick<Store, "counts">;
  readonly numbers: Pick<Numbers, "started">;
  readonly clock: Clock;
};

const maxWaitMs = 3_600_000;
const maxClients = 1_000;
const usualClients = 100;

export function createAdmin(parts: AdminParts): Implementation<typeof AdminService> {
  const { drain, running, store, stats, numbers, clock } = parts;
  return {
    async drain({ wait }, { signal }) {
      const waitMs = toWaitMs(wait);
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
  };
}

function toWaitMs(wait: Duration | undefined): number {
  const waitMs = wait ? durationToMs(wait) : 0;
  if (waitMs >= 0 && waitMs <= maxWaitMs) return waitMs;
  throw invalid([{ field: "wait", description: `is ${waitMs} ms and must be 0 to ${maxWaitMs} ms` }]);
}
