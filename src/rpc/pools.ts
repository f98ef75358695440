/** What operators change of pools: `PausePool` and `ResumePool`. */
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import type { PoolControl } from "../engine/act/pool-control.ts";
import type { Numbers } from "../engine/numbers.ts";
import {
  type AdminService,
  type PausePoolResponse,
  PausePoolResponseSchema,
  type ResumePoolResponse,
  ResumePoolResponseSchema,
} from "../gen/millpond/v1/admin_pb.ts";
import type { PoolPauseSchema } from "../gen/millpond/v1/stats_pb.ts";
import type { PoolPause } from "../store/pool-overrides.ts";
import { toTimestamp } from "./convert/time.ts";
import type { Implementation } from "./served.ts";

export type PoolsParts = { readonly poolControl: PoolControl; readonly numbers: Pick<Numbers, "pools"> };

type PoolMethods = Pick<Implementation<typeof AdminService>, "pausePool" | "resumePool">;

export function createPoolMethods({ poolControl, numbers }: PoolsParts): PoolMethods {
  function jobsOf(name: string): { readonly running: number; readonly queued: bigint } {
    const { running = 0, queued = 0 } = numbers.pools().find(({ pool }) => pool === name) ?? {};
    return { running, queued: BigInt(queued) };
  }

  return {
    async pausePool({ pool }, { client }): Promise<PausePoolResponse> {
      const { before, after } = await poolControl.pause(pool, client);
      const changed = before.pause === null;
      return create(PausePoolResponseSchema, { changed, ...fromPause(after.pause), ...jobsOf(pool) });
    },
    async resumePool({ pool }, { client }): Promise<ResumePoolResponse> {
      const { before } = await poolControl.resume(pool, client);
      const { queued } = jobsOf(pool);
      return create(ResumePoolResponseSchema, { changed: before.pause !== null, ...fromPause(before.pause), queued });
    },
  };
}

/** A field that is absent of a pool that is not paused. */
export function fromPause(pause: PoolPause | null): { pause?: MessageInitShape<typeof PoolPauseSchema> } {
  return pause ? { pause: { by: pause.by, at: toTimestamp(pause.at) } } : {};
}
