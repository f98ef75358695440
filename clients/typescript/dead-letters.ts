import { create } from "@bufbuild/protobuf";
import {
  DeleteJobsRequestSchema,
  ListDeadLettersRequestSchema,
  RedriveJobsRequestSchema,
  WorkerPoolService,
} from "../../src/gen/millpond/v1/worker_pool_pb.ts";
import type { Call } from "./call.ts";
import type { JobFilter, JobsOrFilter } from "./filter.ts";
import { targetsOf, toFilter } from "./filter.ts";
import type { JobInfo } from "./job-info.ts";
import { toJobInfo } from "./job-info.ts";
import type { DeleteKind, JobStateName, RedriveKind } from "./names.ts";
import { deleteKinds, redriveKinds, stateNames } from "./names.ts";

export type DeadLettersOptions = {
  /** Only those that match. Default: all. */
  readonly filter?: JobFilter | undefined;
  /** How many are asked for at once: 1 to 1000. Default 100. */
  readonly pageSize?: number | undefined;
};

/** Yields this client's DEAD jobs, the newest submitted first, and asks for the next page when it is needed. */
export async function* deadLetters(
  call: Call,
  { filter, pageSize = 0 }: DeadLettersOptions = {},
): AsyncGenerator<JobInfo, void, undefined> {
  let pageToken = "";
  do {
    const request = create(ListDeadLettersRequestSchema, {
      pageSize,
      pageToken,
      filter: filter && toFilter(filter),
    });
    const page = await call(WorkerPoolService.method.listDeadLetters, request);
    for (const job of page.jobs) yield toJobInfo(job);
    pageToken = page.nextPageToken;
  } while (pageToken !== "");
}

export type RedriveOptions = {
  /** Only count what the filter matches. Default false. */
  readonly dryRun?: boolean | undefined;
  /** Jobs that become due per second, 0.01 to 1000000. Default: all at once. */
  readonly perSecond?: number | undefined;
};

export type Redriven = {
  /** One for each id, in their order; none for a filter. `not_dead`: `state` is the one it is in. */
  readonly answers: readonly {
    readonly jobId: string;
    readonly kind: RedriveKind;
    readonly state: JobStateName | undefined;
  }[];
  /** Jobs that the filter matched. */
  readonly matched: number;
  /** Jobs that are QUEUED again. */
  readonly redriven: number;
};

/** Puts DEAD jobs back. Not repeated after a lost connection: one that died again meanwhile would run once more. */
export async function redrive(
  call: Call,
  jobs: JobsOrFilter,
  { dryRun = false, perSecond = 0 }: RedriveOptions = {},
): Promise<Redriven> {
  const answers: Redriven["answers"][number][] = [];
  let matched = 0;
  let redriven = 0;
  for (const target of targetsOf(jobs)) {
    const request = create(RedriveJobsRequestSchema, { ...target, dryRun, perSecond });
    const response = await call(WorkerPoolService.method.redriveJobs, request, { isRepeatable: dryRun });
    for (const { jobId, kind, state } of response.answers) {
      answers.push({ jobId, kind: redriveKinds.get(kind) ?? "not_found", state: stateNames.get(state) });
    }
    matched += Number(response.matched);
    redriven += Number(response.redriven);
  }
  return { answers, matched, redriven };
}

export type DeleteOptions = {
  /** Only count what the filter matches. Default false. */
  readonly dryRun?: boolean | undefined;
};

export type Deleted = {
  /**
   * One for each id, in their order; none for a filter. `not_final`: `state` is the one it is in. `not_acknowledged`: it
   * SUCCEEDED and its result waits to be acknowledged.
   */
  readonly answers: readonly {
    readonly jobId: string;
    readonly kind: DeleteKind;
    readonly state: JobStateName | undefined;
  }[];
  /** Jobs that the filter matched. */
  readonly matched: number;
  /** Jobs that are gone. */
  readonly deleted: number;
};

/** Removes final jobs. Not repeated after a lost connection: what was deleted then could no longer be counted. */
export async function deleteJobs(
  call: Call,
  jobs: JobsOrFilter,
  { dryRun = false }: DeleteOptions = {},
): Promise<Deleted> {
  const answers: Deleted["answers"][number][] = [];
  let matched = 0;
  let deleted = 0;
  for (const target of targetsOf(jobs)) {
    const request = create(DeleteJobsRequestSchema, { ...target, dryRun });
    const response = await call(WorkerPoolService.method.deleteJobs, request, { isRepeatable: dryRun });
    for (const { jobId, kind, state } of response.answers) {
      answers.push({ jobId, kind: deleteKinds.get(kind) ?? "not_found", state: stateNames.get(state) });
    }
    matched += Number(response.matched);
    deleted += Number(response.deleted);
  }
  return { answers, matched, deleted };
}
