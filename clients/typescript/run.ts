import { create } from "@bufbuild/protobuf";
import type { Result } from "../../src/gen/millpond/v1/job_pb.ts";
import { RunRequestSchema, WorkerPoolService } from "../../src/gen/millpond/v1/worker_pool_pb.ts";
import type { Call } from "./call.ts";
import type { MillpondClientError } from "./error.ts";
import { wasNotBegun } from "./error.ts";
import type { Job, Task } from "./job.ts";
import type { JobOptions } from "./job-options.ts";
import type { JobResult } from "./result.ts";
import { toJobResult } from "./result.ts";
import { aboutOneJob } from "./submit.ts";
import type { Tracing } from "./tracing.ts";
import { endOf, endOfLost } from "./tracing.ts";

export type RunOptions = JobOptions & {
  /**
   * Bound on the wait for a worker and all attempts together: the job expires with it. At most 24 days. Default: none.
   */
  readonly deadlineMs?: number | undefined;
  /** Cancels the call and, without `detach`, the job; the call rejects with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
  /** The job goes on when the call is cancelled or its deadline passes, and its result goes to its channel. Default false. */
  readonly detach?: boolean | undefined;
};

/**
 * Submits one job and gives its result, like a function call. Throws a MillpondClientError when the job is refused, and
 * `deadline_exceeded` when the deadline passes; a job that fails is a result. After a lost connection the call is made
 * again under the same id, which is the same job. Where the server took the loss for the caller's end and cancelled
 * the job, it throws `connection_lost`.
 */
export async function run(
  { call, tracing }: { readonly call: Call; readonly tracing: Tracing },
  { spec }: Job,
  task: Task,
  { deadlineMs = Number.POSITIVE_INFINITY, signal, detach = false }: RunOptions,
): Promise<JobResult> {
  const traced = (await tracing.tracer())?.begin(spec);
  const request = create(RunRequestSchema, { job: traced?.spec ?? spec, detach });
  let lost: MillpondClientError | undefined;
  const onRetry = (error: MillpondClientError) => {
    if (!wasNotBegun(error)) lost ??= error;
  };
  const result = await call(WorkerPoolService.method.run, request, { deadlineMs, signal, onRetry }).then(
    (response) => {
      const ended = response.result as Result; // an answer that is OK has one
      traced?.end(endOf(ended));
      return toJobResult(ended, task);
    },
    (error: unknown) => {
      traced?.end(endOfLost(error));
      throw aboutOneJob(error, "job.");
    },
  );
  if (lost !== undefined && !detach && result.state === "CANCELLED") throw lost;
  return result;
}
