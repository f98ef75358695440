import { create } from "@bufbuild/protobuf";
import type { Job as JobMessage } from "../../src/gen/millpond/v1/job_pb.ts";
import { JobState } from "../../src/gen/millpond/v1/job_pb.ts";
import {
  GetJobRequestSchema,
  ListJobsRequestSchema,
  WorkerPoolService,
} from "../../src/gen/millpond/v1/worker_pool_pb.ts";
import type { Call } from "./call.ts";
import type { JobFailure, JobResult, JobStateName } from "./result.ts";
import { toDate, toFailure, toJobResult } from "./result.ts";

/** A job as the server knows it. */
export type JobInfo = {
  readonly id: string;
  readonly task: string;
  readonly pool: string;
  readonly channel: string;
  readonly state: JobStateName;
  /** Attempts counted so far, and the bound on them. */
  readonly attempts: number;
  readonly maxAttempts: number;
  readonly submittedAt: Date | undefined;
  /** Not started before this time. */
  readonly runAt: Date | undefined;
  readonly startedAt: Date | undefined;
  readonly finishedAt: Date | undefined;
  /** What the running attempt reported last: 0 to 1, and a note. */
  readonly progress: { readonly fraction: number; readonly note: string } | undefined;
  /** How it ended; undefined while it has not. In a list it has no output. */
  readonly result: JobResult | undefined;
  /** Why the last attempt failed, while the job waits for the next one. */
  readonly lastFailure: JobFailure | undefined;
};

export type ListJobsOptions = {
  readonly state?: JobStateName | undefined;
  readonly task?: string | undefined;
  readonly channel?: string | undefined;
  /** How many are asked for at once: 1 to 1000. Default 100. */
  readonly pageSize?: number | undefined;
};

/** Shows one job of this client. Throws `job_not_found`. */
export async function getJob(call: Call, jobId: string): Promise<JobInfo> {
  const { job } = await call(WorkerPoolService.method.getJob, create(GetJobRequestSchema, { jobId }));
  return toJobInfo(job as JobMessage); // an answer that is OK has one
}

/** Yields this client's jobs, newest first, and asks for the next page when it is needed. */
export async function* listJobs(
  call: Call,
  { state, task = "", channel = "", pageSize = 0 }: ListJobsOptions = {},
): AsyncGenerator<JobInfo, void, undefined> {
  let pageToken = "";
  do {
    const request = create(ListJobsRequestSchema, {
      pageSize,
      pageToken,
      state: state === undefined ? JobState.UNSPECIFIED : JobState[state],
      task,
      channel,
    });
    const page = await call(WorkerPoolService.method.listJobs, request);
    for (const job of page.jobs) yield toJobInfo(job);
    pageToken = page.nextPageToken;
  } while (pageToken !== "");
}

function toJobInfo(job: JobMessage): JobInfo {
  return {
    id: job.id,
    task: job.task,
    pool: job.pool,
    channel: job.channel,
    state: stateNames.get(job.state) ?? "QUEUED",
    attempts: job.attempts,
    maxAttempts: job.maxAttempts,
    submittedAt: toDate(job.submittedAt),
    runAt: toDate(job.runAt),
    startedAt: toDate(job.startedAt),
    finishedAt: toDate(job.finishedAt),
    progress: job.progress && { fraction: job.progress.fraction, note: job.progress.note },
    result: job.result && toJobResult(job.result),
    lastFailure: toFailure(job.lastFailure),
  };
}

const stateNames: ReadonlyMap<number, JobStateName> = new Map([
  [JobState.QUEUED, "QUEUED"],
  [JobState.RUNNING, "RUNNING"],
  [JobState.SUCCEEDED, "SUCCEEDED"],
  [JobState.DEAD, "DEAD"],
  [JobState.CANCELLED, "CANCELLED"],
]);
