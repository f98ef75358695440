/** `AdminService`, for those who run the server. */
import { create } from "@bufbuild/protobuf";
import type { Duration } from "@bufbuild/protobuf/wkt";
import { type Clock, pause } from "../clock.ts";
import type { Draining } from "../engine/draining.ts";
import { invalid } from "../errors.ts";
import { type AdminService, DrainResponseSchema } from "../gen/millpond/v1/admin_pb.ts";
import type { Store } from "../store/store.ts";
import { durationToMs } from "./convert/time.ts";
import type { Implementation } from "./served.ts";

export type AdminParts = {
  readonly drain: Pick<Draining, "start" | "ended">;
  /** Jobs that run. */
  readonly running: () => number;
  readonly store: Pick<Store, "counts">;
  readonly clock: Clock;
};

const maxWaitMs = 3_600_000;

export function createAdmin({ drain, running, store, clock }: AdminParts): Implementation<typeof AdminService> {
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
  };
}

function toWaitMs(wait: Duration | undefined): number {
  const waitMs = wait ? durationToMs(wait) : 0;
  if (waitMs >= 0 && waitMs <= maxWaitMs) return waitMs;
  throw invalid([{ field: "wait", description: `is ${waitMs} ms and must be 0 to ${maxWaitMs} ms` }]);
}
