/** What operators change of pools: `PausePool`, `ResumePool` and `ResizePool`; and what `AdvisePools` would change. */
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import type { PoolControl } from "../engine/act/pool-control.ts";
import type { Numbers } from "../engine/numbers.ts";
import type { PoolAdviser, PoolSizing } from "../engine/watch/pool-adviser.ts";
import { type FieldViolation, invalid } from "../errors.ts";
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

const mostWorkers = 1024;

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
      const former = poolControl.overrides(pool).resize;
      const bounds = toBounds(request, poolControl.bounds(pool));
      const { before, after, resize } = await poolControl.resize(pool, bounds, client);
      return create(ResizePoolResponseSchema, {
        changed: resize !== former,
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

/** Null: back to the configuration. Throws with the fields that are out of bounds. */
function toBounds(request: ResizePoolRequest, inForce: WorkerBounds): Partial<WorkerBounds> | null {
  const { minWorkers, maxWorkers, reset } = request;
  const isGiven = minWorkers !== undefined || maxWorkers !== undefined;
  if (reset === isGiven) {
    const description = `is ${reset}: either set it, or min_workers or max_workers or both`;
    throw invalid([{ field: "reset", description }]);
  }
  if (reset) return null;
  const { min, max } = { min: minWorkers ?? inForce.min, max: maxWorkers ?? inForce.max };
  const violations: FieldViolation[] = [];
  if (max < 1 || max > mostWorkers)
    violations.push({ field: "max_workers", description: `is ${max} and must be 1 to ${mostWorkers}` });
  else if (min > max && minWorkers !== undefined)
    violations.push({ field: "min_workers", description: `is ${min} and must be 0 to max_workers, which is ${max}` });
  else if (min > max)
    violations.push({
      field: "max_workers",
      description: `is ${max} and must be at least min_workers, which is ${min}`,
    });
  if (violations.length > 0) throw invalid(violations);
  return { min, max };
}

/** A field that is absent of a pool that has the bounds of its configuration. */
export function fromResize(resize: PoolResize | null): { resize?: MessageInitShape<typeof PoolResizeSchema> } {
  if (!resize) return {};
  const { by, at, configured } = resize;
  const bounds = { configuredMinWorkers: configured.min, configuredMaxWorkers: configured.max };
  return { resize: { by, at: toTimestamp(at), ...bounds } };
}

/** A field that is absent of a pool that is not paused. */
export function fromPause(pause: PoolPause | null): { pause?: MessageInitShape<typeof PoolPauseSchema> } {
  return pause ? { pause: { by: pause.by, at: toTimestamp(pause.at) } } : {};
}
