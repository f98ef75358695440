import { create } from "@bufbuild/protobuf";
import type { Job as JobMessage } from "../../src/gen/millpond/v1/job_pb.ts";
import { JobState } from "../../src/gen/millpond/v1/job_pb.ts";
import {
  GetJobRequestSchema,
  ListJobsRequestSchema,
  WorkerPoolService,
} from "../../src/gen/millpond/v1/worker_pool_pb.ts";
import type { Call } from "./call.ts";
import { toNumber, toTexts } from "./encode.ts";
import type { JobInfo } from "./job-info.ts";
import { toJobInfo } from "./job-info.ts";
import { type JobStateName, stateNames } from "./names.ts";

export type GetJobOptions = {
  /** Whether the answer has the job's input, in place of its output: one message may not hold both. Default false. */
  readonly withInput?: boolean | undefined;
};

export type ListJobsOptions = {
  readonly state?: JobStateName | undefined;
  readonly task?: string | undefined;
  readonly channel?: string | undefined;
  /** Jobs that have all of these labels. */
  readonly labels?: { readonly [name: string]: string } | undefined;
  /** How many are asked for at once: 1 to 1000. Default 100. */
  readonly pageSize?: number | undefined;
};

/** Shows one job of this client. Throws `job_not_found`. */
export async function getJob(call: Call, jobId: string, { withInput = false }: GetJobOptions = {}): Promise<JobInfo> {
  const { job } = await call(WorkerPoolService.method.getJob, create(GetJobRequestSchema, { jobId, withInput }));
  return toJobInfo(job as JobMessage); // an answer that is OK has one
}

/** Yields this client's jobs, newest first, and asks for the next page when it is needed. */
export async function* listJobs(
  call: Call,
  { state, task = "", channel = "", labels, pageSize = 0 }: ListJobsOptions = {},
): AsyncGenerator<JobInfo, void, undefined> {
  let pageToken = "";
  do {
    const request = create(ListJobsRequestSchema, {
      pageSize,
      pageToken,
      state: state === undefined ? JobState.UNSPECIFIED : toNumber(state, "state", stateNames),
      task,
      channel,
      labels: toTexts(labels, "labels"),
    });
    const page = await call(WorkerPoolService.method.listJobs, request);
    for (const job of page.jobs) yield toJobInfo(job);
    pageToken = page.nextPageToken;
  } while (pageToken !== "");
}
