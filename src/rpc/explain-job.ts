/**
 * `ExplainJob`: why a job is not running.
 */
import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import type { Cause, Explanation } from "../engine/watch/explain.ts";
import {
  type ExplainJobResponse,
  ExplainJobResponse_Cause as WireCause,
  ExplainJobResponseSchema,
} from "../gen/millpond/v1/worker_pool_pb.ts";
import { fromFailure } from "./convert/result.ts";
import { fromState } from "./convert/state.ts";

const wireCauses: Readonly<Record<Cause, WireCause>> = {
  running: WireCause.RUNNING,
  cancelling: WireCause.CANCELLING,
  final: WireCause.FINAL,
  delayed: WireCause.DELAYED,
  backoff: WireCause.BACKOFF,
  queued: WireCause.QUEUED,
  workers_busy: WireCause.WORKERS_BUSY,
  draining: WireCause.DRAINING,
  paused: WireCause.PAUSED,
  no_pool: WireCause.NO_POOL,
  pool_broken: WireCause.POOL_BROKEN,
  worker_starting: WireCause.WORKER_STARTING,
  suspect: WireCause.SUSPECT,
};

export function fromExplanation(explanation: Explanation, now: number): ExplainJobResponse {
  const { cause, text, job, ahead, running, workers } = explanation;
  const isAhead = job.state === "QUEUED" && job.runAt > now;
  return create(ExplainJobResponseSchema, {
    cause: wireCauses[cause],
    text,
    state: fromState(job.state),
    ...(isAhead && { runAt: timestampFromMs(job.runAt) }),
    ahead,
    running,
    workers,
    ...(job.state !== "SUCCEEDED" && job.failure && { lastFailure: fromFailure(job.failure) }),
  });
}
