/** One page of a client's jobs: as many as were asked for, and no more than a message can carry. */
import { create } from "@bufbuild/protobuf";
import { type FieldViolation, invalid } from "../errors.ts";
import {
  type ListJobsRequest,
  type ListJobsResponse,
  ListJobsResponseSchema,
} from "../gen/millpond/v1/worker_pool_pb.ts";
import type { StoredJob } from "../job/job.ts";
import type { Progress } from "../pool/pool.ts";
import type { Store } from "../store/store.ts";
import { fromJob, toState } from "./convert.ts";

const defaultPage = 100;
const maxPage = 1_000;
/** Bytes that a job without a failure takes in a message, at most. */
const plainJobBytes = 1_024;
/** How much larger than its text a failure's JSON may be as a `google.protobuf.Struct`, at most. */
const failureGrowth = 8;

export type ListParts = {
  readonly store: Pick<Store, "list">;
  readonly progressOf: (job: StoredJob) => Progress | undefined;
  /** Bound on the page as a message. */
  readonly messageBytes: number;
};

export async function listJobs(parts: ListParts, client: string, request: ListJobsRequest): Promise<ListJobsResponse> {
  const { limit, beforeSeq } = parsePage(request);
  const { task, channel } = request;
  const filter = { state: toState(request.state), task: task || null, channel: channel || null };
  const jobs = await parts.store.list({ client, beforeSeq, limit: limit + 1, ...filter }); // one more: is there a next page?
  const shown = jobs.slice(0, Math.min(limit, fitting(jobs, parts.messageBytes)));
  return create(ListJobsResponseSchema, {
    jobs: shown.map((job) => fromJob({ ...job, cursor: null }, parts.progressOf(job))),
    nextPageToken: jobs.length > shown.length ? String(shown.at(-1)?.seq) : "",
  });
}

function parsePage({ pageSize, pageToken }: ListJobsRequest): {
  readonly limit: number;
  readonly beforeSeq: number | null;
} {
  const violations: FieldViolation[] = [];
  if (pageSize > maxPage) {
    violations.push({ field: "page_size", description: `is ${pageSize} and must be 1 to ${maxPage}` });
  }
  if (!/^[0-9]{0,15}$/.test(pageToken)) {
    violations.push({ field: "page_token", description: "is not a token that a page before gave" });
  }
  if (violations.length > 0) throw invalid(violations);
  return { limit: pageSize || defaultPage, beforeSeq: pageToken === "" ? null : Number(pageToken) };
}

/** How many of the jobs surely fit into a message; at least one, for a single one always does. */
function fitting(jobs: readonly StoredJob[], messageBytes: number): number {
  let bytes = 0;
  const tooMany = jobs.findIndex(({ failure }) => {
    bytes += plainJobBytes + (failure ? Buffer.byteLength(JSON.stringify(failure)) * failureGrowth : 0);
    return bytes > messageBytes;
  });
  return tooMany === -1 ? jobs.length : Math.max(tooMany, 1);
}
