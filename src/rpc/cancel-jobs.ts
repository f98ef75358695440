/** Cancels jobs, for `CancelJobs` and for the requests of an `Exchange` stream. */
import { create } from "@bufbuild/protobuf";
import type { Canceller } from "../engine/act/cancel.ts";
import {
  type CancelAnswer,
  CancelAnswer_Kind as Kind,
  CancelAnswerSchema,
  type CancelJobsRequest,
  CancelJobsRequestSchema,
  type CancelJobsResponse,
  CancelJobsResponseSchema,
} from "../gen/millpond/v1/worker_pool_pb.ts";
import { JobState } from "../gen/millpond/v1/job_pb.ts";
import type { Cancelled } from "../store/store.ts";
import type { CallContext } from "./call.ts";
import { fromState } from "./convert/state.ts";
import { refuseDeadOnly, toSelection } from "./filter.ts";

export async function cancelJobs(
  canceller: Canceller,
  request: CancelJobsRequest,
  { client, signal }: CallContext,
): Promise<CancelJobsResponse> {
  const selection = toSelection(CancelJobsRequestSchema, request);
  if (selection.kind === "filter") {
    const { filter, dryRun } = selection;
    refuseDeadOnly(filter);
    const { matched, cancelled, cancelling } = await canceller.cancelWhere(client, filter, { dryRun, signal });
    return create(CancelJobsResponseSchema, {
      matched: BigInt(matched),
      cancelled: BigInt(cancelled),
      cancelling: BigInt(cancelling),
    });
  }
  const answers = await cancelById(canceller, client, selection.ids);
  const count = (kind: Kind) => BigInt(answers.filter((answer) => answer.kind === kind).length);
  return create(CancelJobsResponseSchema, {
    answers,
    cancelled: count(Kind.CANCELLED),
    cancelling: count(Kind.CANCELLING),
  });
}

/** One answer for each id, in order. */
export async function cancelById(
  canceller: Canceller,
  client: string,
  ids: readonly string[],
): Promise<CancelAnswer[]> {
  const cancelled = await canceller.cancel(client, ids);
  return cancelled.map((each, index) => {
    const [kind, state] = answerTo(each);
    return create(CancelAnswerSchema, { jobId: ids[index] ?? "", kind, state });
  });
}

function answerTo(cancelled: Cancelled): readonly [Kind, JobState] {
  switch (cancelled.kind) {
    case "cancelled":
      return [Kind.CANCELLED, JobState.CANCELLED];
    case "cancelling":
      return [Kind.CANCELLING, JobState.RUNNING];
    case "final":
      return [Kind.ALREADY_FINAL, fromState(cancelled.state)];
    case "not_found":
      return [Kind.NOT_FOUND, JobState.UNSPECIFIED];
  }
}
