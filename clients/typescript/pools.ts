import { create } from "@bufbuild/protobuf";
import {
  AdminService,
  AdvisePoolsRequestSchema,
  PausePoolRequestSchema,
  type PoolSizing,
  ResizePoolRequestSchema,
  ResumePoolRequestSchema,
} from "../../src/gen/millpond/v1/admin_pb.ts";
import type { PoolPause, PoolResize } from "../../src/gen/millpond/v1/stats_pb.ts";
import type { Call } from "./call.ts";
import { toDate } from "./result.ts";

/** Who paused a pool, and when. */
export type PauseInfo = { readonly by: string; readonly at: Date };

export type WorkerBounds = { readonly min: number; readonly max: number };

/** Who resized a pool, when, and what the configuration said then. */
export type ResizeInfo = { readonly by: string; readonly at: Date; readonly configured: WorkerBounds };

export type PausedPool = {
  /** False: it was paused before, as `pause` says. */
  readonly changed: boolean;
  readonly pause: PauseInfo;
  /** Jobs of the pool that still run on this server, and those that wait. */
  readonly running: number;
  readonly queued: number;
};

export type ResumedPool = {
  /** False: it was not paused. */
  readonly changed: boolean;
  /** The pause that has ended; undefined: there was none. */
  readonly pause: PauseInfo | undefined;
  /** Jobs of the pool that wait. */
  readonly queued: number;
};

export type ResizedPool = WorkerBounds & {
  /** False: it had these bounds before. */
  readonly changed: boolean;
  readonly previous: WorkerBounds;
  /** Undefined: its bounds are those of the configuration. */
  readonly resize: ResizeInfo | undefined;
};

/** `work`: `cpu`, `io`, `mixed` or `limited`. */
export type SizingInfo = WorkerBounds & { readonly work: string; readonly concurrency: number };

/** Which size would fit a pool, and why. */
export type AdviceInfo = {
  readonly pool: string;
  readonly current: SizingInfo;
  /** `current` where it fits, or where too little is known. */
  readonly advised: SizingInfo;
  /** False: too little was measured. */
  readonly isFounded: boolean;
  readonly why: readonly string[];
  /** What was measured: for how long, attempts since the server's start, the part of their time for which workers were busy. */
  readonly observedMs: number;
  readonly attempts: number;
  readonly busyShare: number;
  /** The part of their time for which jobs kept a processor busy; undefined: it is not known. */
  readonly cpuShare: number | undefined;
  /** The jobs that ran at once, at most. */
  readonly peakRunning: number;
};

/** Says of each pool which size would fit, from what was measured in the last hour. */
export async function advisePools(call: Call): Promise<AdviceInfo[]> {
  const { pools } = await call(AdminService.method.advisePools, create(AdvisePoolsRequestSchema));
  return pools.map(
    ({ pool, current, advised, founded, why, observed, attempts, busyShare, cpuShare, peakRunning }) => ({
      ...{ pool, current: toSizing(current), advised: toSizing(advised), isFounded: founded, why },
      observedMs: Number(observed?.seconds ?? 0) * 1000 + (observed?.nanos ?? 0) / 1e6,
      ...{ attempts: Number(attempts), busyShare, cpuShare, peakRunning },
    }),
  );
}

function toSizing(sizing: PoolSizing | undefined): SizingInfo {
  const { work = "", minWorkers: min = 0, maxWorkers: max = 0, concurrency = 0 } = sizing ?? {};
  return { work, min, max, concurrency };
}

/** Starts no more jobs of a pool until it is resumed, also after a restart. What runs goes on. */
export async function pausePool(call: Call, pool: string): Promise<PausedPool> {
  const said = await call(AdminService.method.pausePool, create(PausePoolRequestSchema, { pool }));
  const { changed, running, queued } = said;
  return { changed, pause: toPause(said.pause) ?? { by: "", at: new Date(0) }, running, queued: Number(queued) };
}

/** Ends the pause of a pool: jobs that are due start at once. */
export async function resumePool(call: Call, pool: string): Promise<ResumedPool> {
  const said = await call(AdminService.method.resumePool, create(ResumePoolRequestSchema, { pool }));
  return { changed: said.changed, pause: toPause(said.pause), queued: Number(said.queued) };
}

/** Bounds the workers of a pool; what is not given stays. `configured`: back to the configuration. */
export async function resizePool(
  call: Call,
  pool: string,
  bounds: Partial<WorkerBounds> | "configured",
): Promise<ResizedPool> {
  const { min: minWorkers, max: maxWorkers } = bounds === "configured" ? {} : bounds;
  const request = create(ResizePoolRequestSchema, {
    ...{ pool, reset: bounds === "configured" },
    ...(minWorkers !== undefined && { minWorkers }),
    ...(maxWorkers !== undefined && { maxWorkers }),
  });
  const said = await call(AdminService.method.resizePool, request);
  return {
    ...{ changed: said.changed, min: said.minWorkers, max: said.maxWorkers },
    previous: { min: said.previousMinWorkers, max: said.previousMaxWorkers },
    resize: toResize(said.resize),
  };
}

export function toResize(resize: PoolResize | undefined): ResizeInfo | undefined {
  if (!resize) return undefined;
  const { by, at, configuredMinWorkers: min, configuredMaxWorkers: max } = resize;
  return { by, at: toDate(at) ?? new Date(0), configured: { min, max } };
}

export function toPause(pause: PoolPause | undefined): PauseInfo | undefined {
  return pause && { by: pause.by, at: toDate(pause.at) ?? new Date(0) };
}
