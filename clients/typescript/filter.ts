import { create } from "@bufbuild/protobuf";
import type { JobFilter as JobFilterMessage } from "../../src/gen/millpond/v1/job_pb.ts";
import { DeadReason, JobFilterSchema } from "../../src/gen/millpond/v1/job_pb.ts";
import { toNumber, toTexts, toTimestamp } from "./encode.ts";
import type { DeadReasonName } from "./names.ts";
import { deadReasonNames } from "./names.ts";

/**
 * Which of your jobs are meant: those that match everything that is set. An empty filter is refused, so that a forgotten
 * field does not mean everything; say `{ all: true }`.
 */
export type JobFilter = {
  /** Every job that the other fields allow. */
  readonly all?: boolean | undefined;
  readonly task?: string | undefined;
  readonly pool?: string | undefined;
  readonly channel?: string | undefined;
  /** Jobs that have all of these labels. */
  readonly labels?: { readonly [name: string]: string } | undefined;
  readonly submittedAfter?: Date | undefined;
  readonly submittedBefore?: Date | undefined;
  /** Only DEAD jobs have one. */
  readonly deadReason?: DeadReasonName | undefined;
  /** Reason of the last failure, such as `image_too_large`. */
  readonly failureReason?: string | undefined;
};

/** The jobs that an action is about: their ids, any number of them, or a filter. */
export type JobsOrFilter = readonly string[] | JobFilter;

function isIds(jobs: JobsOrFilter): jobs is readonly string[] {
  return Array.isArray(jobs);
}

/** Throws `invalid_argument` for what cannot be sent. */
export function toFilter(filter: JobFilter): JobFilterMessage {
  const { all = false, task = "", pool = "", channel = "", failureReason = "" } = filter;
  const { labels, submittedAfter, submittedBefore, deadReason } = filter;
  return create(JobFilterSchema, {
    all,
    task,
    pool,
    channel,
    labels: toTexts(labels, "filter.labels"),
    submittedAfter: toTimestamp(submittedAfter, "filter.submitted_after"),
    submittedBefore: toTimestamp(submittedBefore, "filter.submitted_before"),
    deadReason: deadReason ? toNumber(deadReason, "filter.dead_reason", deadReasonNames) : DeadReason.UNSPECIFIED,
    failureReason,
  });
}

/** The bound on ids in one call. */
const maxIds = 1_000;

/** Ids in as few calls as the limit allows, evenly: a call with one id fails where one with several answers for each. */
function callsOf(ids: readonly string[]): string[][] {
  const calls = Math.max(1, Math.ceil(ids.length / maxIds));
  const size = Math.ceil(ids.length / calls);
  return Array.from({ length: calls }, (_, at) => ids.slice(at * size, (at + 1) * size));
}

/** What the calls of one action are about, in the words of their requests. */
export function targetsOf(
  jobs: JobsOrFilter,
): readonly ({ readonly jobIds: string[] } | { readonly filter: JobFilterMessage })[] {
  return isIds(jobs) ? callsOf(jobs).map((jobIds) => ({ jobIds })) : [{ filter: toFilter(jobs) }];
}
