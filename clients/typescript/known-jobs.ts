import { create } from "@bufbuild/protobuf";
import type { Result } from "../../src/gen/millpond/v1/job_pb.ts";
import { JobState } from "../../src/gen/millpond/v1/job_pb.ts";
import { GetJobRequestSchema, WorkerPoolService } from "../../src/gen/millpond/v1/worker_pool_pb.ts";
import type { Call } from "./call.ts";
import { MillpondClientError } from "./error.ts";

/** How many jobs are asked for at once. */
const atOnce = 16;

/** Looks up jobs that the server had before this loop submitted them: the channel may be past their results. */
export type KnownJobs = {
  /** Asks for this job. One that has not ended is left alone: its result comes through the channel. */
  find(jobId: string): void;
};

export type KnownJobsOptions = {
  readonly call: Call;
  /** Ends all lookups, quietly. */
  readonly signal: AbortSignal;
  onResult(result: Result): void;
  /** The job ended and was removed since. */
  onGone(jobId: string): void;
  onError(error: unknown): void;
};

export function createKnownJobs({ call, signal, onResult, onGone, onError }: KnownJobsOptions): KnownJobs {
  const wanted = new Set<string>();
  let running = 0;

  async function findAll(): Promise<void> {
    running++;
    try {
      for (const jobId of wanted) {
        wanted.delete(jobId);
        await findOne(jobId);
      }
    } catch (error) {
      if (!signal.aborted) onError(error);
    } finally {
      running--;
    }
  }

  async function findOne(jobId: string): Promise<void> {
    try {
      const request = create(GetJobRequestSchema, { jobId });
      const { job } = await call(WorkerPoolService.method.getJob, request, { signal });
      if (job?.result !== undefined && isFinal(job.state)) onResult(job.result);
    } catch (error) {
      if (!(error instanceof MillpondClientError) || error.reason !== "job_not_found") throw error;
      onGone(jobId);
    }
  }

  return {
    find: (jobId) => {
      wanted.add(jobId);
      if (running < atOnce) void findAll();
    },
  };
}

/** A job that was redriven has a result of its former end, and another one to come. */
function isFinal(state: JobState): boolean {
  return state === JobState.SUCCEEDED || state === JobState.DEAD || state === JobState.CANCELLED;
}
