/** Reads one job of the caller. */
import { create } from "@bufbuild/protobuf";
import { fingerprintOf, type JobWatch } from "../engine/watch/watchers.ts";
import { isUnavailable, refusal } from "../errors.ts";
import type { Job } from "../gen/millpond/v1/job_pb.ts";
import { type GetJobRequest, type GetJobResponse, GetJobResponseSchema } from "../gen/millpond/v1/worker_pool_pb.ts";
import { isSuspect, type StoredJob, type WholeJob } from "../job/job.ts";
import type { EnginePool } from "../engine/dispatch/dispatcher.ts";
import type { Tasks } from "../pool/tasks.ts";
import type { Store } from "../store/store.ts";
import type { CallContext } from "./call.ts";
import { fromJob, fromWholeJob, type JobFacts, type WholeJobBounds } from "./convert/job.ts";

export type JobParts = {
  readonly store: Pick<Store, "get">;
  readonly tasks: () => Tasks;
  readonly pools: readonly EnginePool[];
  readonly limits: WholeJobBounds;
};

/** Throws `job_not_found`, also for a malformed id and for jobs of other clients. */
export async function findJob({ store }: Pick<JobParts, "store">, client: string, id: string): Promise<WholeJob> {
  const job = await store.get({ client, id: id.toLowerCase() });
  if (!job) throw jobNotFound(id);
  return job;
}

/** Reads a watched job after it changed. Undefined while the store is unavailable: the watch retries. */
export async function reloadJob(
  parts: Pick<JobParts, "store">,
  client: string,
  id: string,
  watch: Pick<JobWatch, "saw">,
): Promise<WholeJob | undefined> {
  try {
    const job = await findJob(parts, client, id);
    watch.saw(fingerprintOf(job));
    return job;
  } catch (error) {
    if (!isUnavailable(error)) throw error;
    watch.saw(undefined);
    return undefined;
  }
}

export const jobNotFound = (id: string) => refusal("job_not_found", [id.slice(0, 100)]);

export async function getJob(
  parts: JobParts,
  { jobId, withInput }: GetJobRequest,
  { client }: CallContext,
): Promise<GetJobResponse> {
  const job = await findJob(parts, client, jobId);
  return create(GetJobResponseSchema, { job: fromWholeJob(job, factsOf(parts, job), { ...parts.limits, withInput }) });
}

/** Without its input and history. */
export function showJob(parts: Pick<JobParts, "tasks" | "pools">, job: StoredJob): Job {
  return fromJob(job, factsOf(parts, job));
}

function factsOf({ tasks, pools }: Pick<JobParts, "tasks" | "pools">, job: StoredJob): JobFacts {
  const { pool, suspects } = pools.find((each) => each.pool.name === job.pool) ?? {};
  return {
    progress: (isSuspect(job) ? suspects?.pool : pool)?.progressOf(job.seq),
    timeoutMs: tasks().get(job.task)?.timeoutMs,
  };
}
