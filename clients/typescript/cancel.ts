import { create } from "@bufbuild/protobuf";
import type { CancelAnswer as CancelAnswerMessage } from "../../src/gen/millpond/v1/worker_pool_pb.ts";
import { CancelJobsRequestSchema, WorkerPoolService } from "../../src/gen/millpond/v1/worker_pool_pb.ts";
import type { Call } from "./call.ts";
import type { JobsOrFilter } from "./filter.ts";
import { targetsOf } from "./filter.ts";
import type { CancelKind, JobStateName } from "./names.ts";
import { cancelKinds, stateNames } from "./names.ts";

export type CancelOptions = {
  /** Only count what the filter matches. Default false. */
  readonly dryRun?: boolean | undefined;
};

/** What became of one job that was to be cancelled. */
export type CancelAnswer = {
  readonly jobId: string;
  /**
   * `cancelled`: it waited. `cancelling`: it runs and was asked to stop; its result shows how it ended. `already_final`:
   * `state` shows how. `not_found`: you have no such job.
   */
  readonly kind: CancelKind;
  /** Where it stands now; undefined when it was not found. */
  readonly state: JobStateName | undefined;
};

export type Cancelled = {
  /** One for each id, in their order; none for a filter. */
  readonly answers: readonly CancelAnswer[];
  /** Jobs that the filter matched. */
  readonly matched: number;
  /** Jobs that waited and are CANCELLED now. */
  readonly cancelled: number;
  /** Jobs that run and were asked to stop. */
  readonly cancelling: number;
};

/** Cancels jobs: those that wait at once; those that run are asked to stop, and ended after a grace. */
export async function cancelJobs(
  call: Call,
  jobs: JobsOrFilter,
  { dryRun = false }: CancelOptions = {},
): Promise<Cancelled> {
  const answers: CancelAnswer[] = [];
  let matched = 0;
  let cancelled = 0;
  let cancelling = 0;
  for (const target of targetsOf(jobs)) {
    const request = create(CancelJobsRequestSchema, { ...target, dryRun });
    const response = await call(WorkerPoolService.method.cancelJobs, request);
    answers.push(...response.answers.map(toCancelAnswer));
    matched += Number(response.matched);
    cancelled += Number(response.cancelled);
    cancelling += Number(response.cancelling);
  }
  return { answers, matched, cancelled, cancelling };
}

export function toCancelAnswer({ jobId, kind, state }: CancelAnswerMessage): CancelAnswer {
  return { jobId, kind: cancelKinds.get(kind) ?? "not_found", state: stateNames.get(state) };
}
