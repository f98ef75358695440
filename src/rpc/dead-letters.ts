/** Calls on dead letters: `RedriveJobs` and `DeleteJobs`. */
import { create } from "@bufbuild/protobuf";
import { type DeadLetters, redrivenOf } from "../engine/act/dead-letters.ts";
import { invalid, type MillpondError, refusal } from "../errors.ts";
import { JobState } from "../gen/millpond/v1/job_pb.ts";
import {
  DeleteAnswer_Kind as Deletion,
  type DeleteJobsRequest,
  DeleteJobsRequestSchema,
  type DeleteJobsResponse,
  DeleteJobsResponseSchema,
  RedriveAnswer_Kind as Redrive,
  type RedriveJobsRequest,
  RedriveJobsRequestSchema,
  type RedriveJobsResponse,
  RedriveJobsResponseSchema,
} from "../gen/millpond/v1/worker_pool_pb.ts";
import type { Redriven, Removed } from "../store/store.ts";
import type { LinkedJob, Tracing } from "../tracing.ts";
import type { CallContext } from "./call.ts";
import { fromState } from "./convert/state.ts";
import { toSelection } from "./filter.ts";

export type DeadLettersParts = { readonly deadLetters: DeadLetters; readonly tracing: Pick<Tracing, "operation"> };

const minPerSecond = 0.01;
const maxPerSecond = 1_000_000;

export async function redriveJobs(
  { deadLetters, tracing }: DeadLettersParts,
  request: RedriveJobsRequest,
  call: CallContext,
): Promise<RedriveJobsResponse> {
  const operation = tracing.operation(call, "RedriveJobs", "redrive");
  try {
    const response = await redrive(deadLetters, request, call, operation.link);
    operation.end();
    return response;
  } catch (error) {
    operation.fail(error);
    throw error;
  }
}

async function redrive(
  deadLetters: DeadLetters,
  request: RedriveJobsRequest,
  { client, signal }: CallContext,
  onRedriven: (jobs: readonly LinkedJob[]) => void,
): Promise<RedriveJobsResponse> {
  const selection = toSelection(RedriveJobsRequestSchema, request);
  const { perSecond } = request;
  if (perSecond !== 0 && !(perSecond >= minPerSecond && perSecond <= maxPerSecond)) {
    const description = `is ${perSecond} and must be ${minPerSecond} to ${maxPerSecond}, or 0: all at once`;
    throw invalid([{ field: "per_second", description }]);
  }
  if (selection.kind === "filter") {
    const { filter, dryRun } = selection;
    const { matched, redriven } = await deadLetters.redriveWhere(client, filter, {
      dryRun,
      signal,
      perSecond,
      onRedriven,
    });
    return create(RedriveJobsResponseSchema, { matched: BigInt(matched), redriven: BigInt(redriven) });
  }
  const { ids } = selection;
  const redriven = await deadLetters.redrive(client, ids, perSecond);
  onRedriven(redrivenOf(ids, redriven));
  refuseSingle(ids, redriven, refusalOfRedrive);
  return create(RedriveJobsResponseSchema, {
    answers: redriven.map((each, index) => ({ jobId: ids[index] ?? "", ...redriveAnswer(each) })),
    redriven: BigInt(redriven.filter(({ kind }) => kind === "redriven").length),
  });
}

export async function deleteJobs(
  deadLetters: DeadLetters,
  request: DeleteJobsRequest,
  { client, signal }: CallContext,
): Promise<DeleteJobsResponse> {
  const selection = toSelection(DeleteJobsRequestSchema, request);
  if (selection.kind === "filter") {
    const { filter, dryRun } = selection;
    const { matched, removed } = await deadLetters.removeWhere(client, filter, { dryRun, signal });
    return create(DeleteJobsResponseSchema, { matched: BigInt(matched), deleted: BigInt(removed) });
  }
  const { ids } = selection;
  const removed = await deadLetters.remove(client, ids);
  refuseSingle(ids, removed, refusalOfDelete);
  return create(DeleteJobsResponseSchema, {
    answers: removed.map((each, index) => ({ jobId: ids[index] ?? "", ...deleteAnswer(each) })),
    deleted: BigInt(removed.filter(({ kind }) => kind === "removed").length),
  });
}

/** With a single job its refusal is the error of the call; with several, each job has its own answer. */
function refuseSingle<T>(
  ids: readonly string[],
  answers: readonly T[],
  refusalOf: (id: string, answer: T) => MillpondError | null,
): void {
  const [id, more] = ids;
  const [answer] = answers;
  if (id === undefined || more !== undefined || answer === undefined) return;
  const error = refusalOf(id, answer);
  if (error) throw error;
}

function refusalOfRedrive(id: string, redriven: Redriven): MillpondError | null {
  return redriven.kind === "not_dead" ? refusal("not_dead", [id, redriven.state]) : null;
}

function refusalOfDelete(id: string, removed: Removed): MillpondError | null {
  switch (removed.kind) {
    case "not_final":
      return refusal("not_final", [id, removed.state]);
    case "not_acknowledged":
      return refusal("not_acknowledged", [id]);
    default:
      return null;
  }
}

function redriveAnswer(redriven: Redriven): { readonly kind: Redrive; readonly state: JobState } {
  switch (redriven.kind) {
    case "redriven":
      return { kind: Redrive.REDRIVEN, state: JobState.QUEUED };
    case "not_dead":
      return { kind: Redrive.NOT_DEAD, state: fromState(redriven.state) };
    case "not_found":
      return { kind: Redrive.NOT_FOUND, state: JobState.UNSPECIFIED };
  }
}

function deleteAnswer(removed: Removed): { readonly kind: Deletion; readonly state: JobState } {
  switch (removed.kind) {
    case "removed":
      return { kind: Deletion.DELETED, state: JobState.UNSPECIFIED };
    case "not_final":
      return { kind: Deletion.NOT_FINAL, state: fromState(removed.state) };
    case "not_acknowledged":
      return { kind: Deletion.NOT_ACKNOWLEDGED, state: JobState.SUCCEEDED };
    case "not_found":
      return { kind: Deletion.NOT_FOUND, state: JobState.UNSPECIFIED };
  }
}
