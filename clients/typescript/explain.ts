import { create } from "@bufbuild/protobuf";
import { ExplainJobRequestSchema, WorkerPoolService } from "../../src/gen/millpond/v1/worker_pool_pb.ts";
import type { Call } from "./call.ts";
import type { CauseName, JobStateName } from "./names.ts";
import { causeNames, stateNames } from "./names.ts";
import type { JobFailure } from "./result.ts";
import { toDate, toFailure } from "./result.ts";

/** Why a job is not running now. */
export type Explanation = {
  /** `unknown`: the server is newer than this client; `text` says it all the same. */
  readonly cause: CauseName | "unknown";
  /** The same in one sentence. */
  readonly text: string;
  readonly state: JobStateName;
  /** Not started before this time; undefined when it is past. */
  readonly runAt: Date | undefined;
  /** Due jobs of its pool that start before it; counting stops at 10000. */
  readonly ahead: number;
  /** Jobs that its pool runs now, and the workers that may run them. */
  readonly running: number;
  readonly workers: number;
  /** Why the last attempt failed. */
  readonly lastFailure: JobFailure | undefined;
};

/** Says why a job is not running now. Throws `job_not_found`. */
export async function explainJob(call: Call, jobId: string): Promise<Explanation> {
  const said = await call(WorkerPoolService.method.explainJob, create(ExplainJobRequestSchema, { jobId }));
  return {
    cause: causeNames.get(said.cause) ?? "unknown",
    text: said.text,
    state: stateNames.get(said.state) ?? "QUEUED",
    runAt: toDate(said.runAt),
    ahead: said.ahead,
    running: said.running,
    workers: said.workers,
    lastFailure: toFailure(said.lastFailure),
  };
}
