import { create } from "@bufbuild/protobuf";
import { AdminService, PausePoolRequestSchema, ResumePoolRequestSchema } from "../../src/gen/millpond/v1/admin_pb.ts";
import type { PoolPause } from "../../src/gen/millpond/v1/stats_pb.ts";
import type { Call } from "./call.ts";
import { toDate } from "./result.ts";

/** Who paused a pool, and when. */
export type PauseInfo = { readonly by: string; readonly at: Date };

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

export function toPause(pause: PoolPause | undefined): PauseInfo | undefined {
  return pause && { by: pause.by, at: toDate(pause.at) ?? new Date(0) };
}
