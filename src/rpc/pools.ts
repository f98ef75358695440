/** Calls for operators of pools: `PausePool`, `ResumePool`, `ResizePool`, and `AdvisePools`. */
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import type { PoolControl } from "../engine/act/pool-control.ts";
import type { Numbers } from "../engine/numbers.ts";
import type { PoolAdviser, PoolSizing } from "../engine/watch/pool-adviser.ts";
import { invalid } from "../errors.ts";
import {
  type AdminService,
  AdvisePoolsResponseSchema,
  type PausePoolResponse,
  type PoolSizingSchema,
  PausePoolResponseSchema,
  type ResizePoolRequest,
  type ResizePoolResponse,
  ResizePoolResponseSchema,
  type ResumePoolResponse,
  ResumePoolResponseSchema,
} from "../gen/millpond/v1/admin_pb.ts";
import type { PoolPauseSchema, PoolResizeSchema } from "../gen/millpond/v1/stats_pb.ts";
import type { PoolPause, PoolResize, WorkerBounds } from "../store/pool-overrides.ts";
import { durationFromMs, toTimestamp } from "./convert/time.ts";
import type { Implementation } from "./served.ts";

export type PoolsParts = {
  readonly poolControl: PoolControl;
  readonly numbers: Pick<Numbers, "pools">;
  readonly adviser: PoolAdviser;
};

type PoolMethods = Pick<Implementation<typeof AdminService>, "pausePool" | "resumePool" | "resizePool" | "advisePools">;

export function createPoolMethods({ poolControl, numbers, adviser }: PoolsParts): PoolMethods {
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
    async resizePool(request, { client }): Promise<ResizePoolResponse> {
      const { pool } = request;
      const { isChanged, before, after, resize } = await poolControl.resize(pool, toBounds(request), client);
      return create(ResizePoolResponseSchema, {
        changed: isChanged,
        ...{ minWorkers: after.min, maxWorkers: after.max },
        ...{ previousMinWorkers: before.min, previousMaxWorkers: before.max },
        ...fromResize(resize),
      });
    },
    async advisePools() {
      const advised = await adviser.advise();
      const pools = advised.map(({ pool, measured, advice }) => ({
        ...{ pool, current: fromSizing(measured.now), advised: fromSizing(advice.sizing) },
        ...{ founded: advice.isFounded, why: [...advice.why], observed: durationFromMs(measured.observedMs) },
        ...{ attempts: BigInt(measured.attempts), busyShare: advice.busyShare, peakRunning: measured.peakRunning },
        ...(advice.cpuShare !== null && { cpuShare: advice.cpuShare }),
      }));
      return create(AdvisePoolsResponseSchema, { pools });
    },
  };
}

function fromSizing({ work, min, max, concurrency }: PoolSizing): MessageInitShape<typeof PoolSizingSchema> {
  return { work, minWorkers: min, maxWorkers: max, concurrency };
}

/** Null: resets the bounds to the configuration. */
function toBounds({ minWorkers, maxWorkers, reset }: ResizePoolRequest): Partial<WorkerBounds> | null {
  const isGiven = minWorkers !== undefined || maxWorkers !== undefined;
  if (reset === isGiven) {
    const description = `is ${reset}: set either it, or min_workers or max_workers or both`;
    throw invalid([{ field: "reset", description }]);
  }
  if (reset) return null;
  return { ...(minWorkers !== undefined && { min: minWorkers }), ...(maxWorkers !== undefined && { max: maxWorkers }) };
}

/** An object with the field, or without it for a pool with the bounds of its configuration. */
export function fromResize(resize: PoolResize | null): { resize?: MessageInitShape<typeof PoolResizeSchema> } {
  if (!resize) return {};
  const { by, at, configured } = resize;
  const bounds = { configuredMinWorkers: configured.min, configuredMaxWorkers: configured.max };
  return { resize: { by, at: toTimestamp(at), ...bounds } };
}

/** An object with the field, or without it for a pool that is not paused. */
export function fromPause(pause: PoolPause | null): { pause?: MessageInitShape<typeof PoolPauseSchema> } {
  return pause ? { pause: { by: pause.by, at: toTimestamp(pause.at) } } : {};
}
