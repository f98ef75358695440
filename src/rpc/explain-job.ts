/** `ExplainJob`: why a job is not running. */
import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import type { Explanation } from "../engine/watch/explain.ts";
import {
  type ExplainJobResponse,
  ExplainJobResponse_Cause as WireCause,
  ExplainJobResponseSchema,
} from "../gen/millpond/v1/worker_pool_pb.ts";
import { fromFailure } from "./convert/result.ts";
import { fromState, toWire } from "./convert/state.ts";

export function fromExplanation(explanation: Explanation, now: number): ExplainJobResponse {
  const { cause, text, job, ahead, running, workers } = explanation;
  const isAhead = job.state === "QUEUED" && job.runAt > now;
  return create(ExplainJobResponseSchema, {
    cause: toWire(WireCause, cause),
    text,
    state: fromState(job.state),
    ...(isAhead && { runAt: timestampFromMs(job.runAt) }),
    ahead,
    running,
    workers,
    ...(job.state !== "SUCCEEDED" && job.failure && { lastFailure: fromFailure(job.failure) }),
  });
}
