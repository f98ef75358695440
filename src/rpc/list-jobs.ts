/** `ListJobs`: one page of a client's jobs, at most `page_size` and as many as fit into a message. */
import { create } from "@bufbuild/protobuf";
import { checkLabels } from "../engine/admit/draft-names.ts";
import { type FieldViolation, invalid } from "../errors.ts";
import type { Job } from "../gen/millpond/v1/job_pb.ts";
import {
  type ListDeadLettersRequest,
  ListDeadLettersRequestSchema,
  type ListDeadLettersResponse,
  ListDeadLettersResponseSchema,
  type ListJobsRequest,
  type ListJobsResponse,
  ListJobsResponseSchema,
} from "../gen/millpond/v1/worker_pool_pb.ts";
import type { JobState, StoredJob } from "../job/job.ts";
import type { JobFilter, Store } from "../store/store.ts";
import { toState } from "./convert/state.ts";
import { everyJob, toOptionalFilter } from "./filter.ts";
import { valuesOfFailure, valuesOfFields } from "./values.ts";

const defaultPage = 100;
const maxPage = 1_000;
/** Bound on the pages that one call reads from the store. The next call continues from there, even if nothing was found. */
const maxReads = 16;
/** Upper bound on the bytes of a job in a message without its failure and labels. */
const plainJobBytes = 2_048;
/** Upper bound on the growth of a failure's JSON text as a `google.protobuf.Struct`. */
const failureGrowth = 8;
/** Upper bound on the growth of labels' text in a message: they are sent with the job and with its result. */
const labelGrowth = 4;

export type ListParts = {
  readonly store: Pick<Store, "list">;
  readonly showJob: (job: StoredJob) => Job;
  /** Bounds on the page as a message. */
  readonly limits: { readonly messageBytes: number; readonly values: number };
};

export async function listJobs(parts: ListParts, client: string, request: ListJobsRequest): Promise<ListJobsResponse> {
  const { task, channel, labels } = request;
  const violations: FieldViolation[] = [];
  checkLabels(labels, violations);
  if (violations.length > 0) throw invalid(violations);
  const filter = { ...everyJob, task: task || null, channel: channel || null, labels };
  return create(ListJobsResponseSchema, await page(parts, client, request, toState(request.state), filter));
}

export async function listDeadLetters(
  parts: ListParts,
  client: string,
  request: ListDeadLettersRequest,
): Promise<ListDeadLettersResponse> {
  const filter = toOptionalFilter(ListDeadLettersRequestSchema, request);
  return create(ListDeadLettersResponseSchema, await page(parts, client, request, "DEAD", filter));
}

type Asked = { readonly pageSize: number; readonly pageToken: string };

async function page(
  { store, showJob, limits }: ListParts,
  client: string,
  asked: Asked,
  state: JobState | null,
  filter: JobFilter,
): Promise<{ jobs: Job[]; nextPageToken: string }> {
  const { limit, beforeSeq } = parsePage(asked);
  const jobs: StoredJob[] = [];
  let nextSeq: number | null = beforeSeq;
  for (let reads = 0; reads < maxReads && jobs.length <= limit; reads += 1) {
    const wanted = limit + 1 - jobs.length; // one more: is there a next page?
    const found = await store.list({ client, filter, state, beforeSeq: nextSeq, limit: wanted });
    jobs.push(...found.jobs.map(withoutStack));
    nextSeq = found.nextSeq;
    if (nextSeq === null) break;
  }
  const shown = jobs.slice(0, Math.min(limit, fitting(jobs, limits)));
  const goOnAt = jobs.length > shown.length ? (shown.at(-1)?.seq ?? null) : nextSeq;
  return {
    jobs: shown.map((job) => showJob({ ...job, cursor: null })),
    nextPageToken: goOnAt === null ? "" : String(goOnAt),
  };
}

function parsePage({ pageSize, pageToken }: Asked): { readonly limit: number; readonly beforeSeq: number | null } {
  const violations: FieldViolation[] = [];
  if (pageSize > maxPage) {
    violations.push({ field: "page_size", description: `is ${pageSize} and must be 1 to ${maxPage}` });
  }
  if (!/^[0-9]{0,15}$/.test(pageToken)) {
    violations.push({ field: "page_token", description: "is not a token that an earlier page returned" });
  }
  if (violations.length > 0) throw invalid(violations);
  return { limit: pageSize || defaultPage, beforeSeq: pageToken === "" ? null : Number(pageToken) };
}

function withoutStack(job: StoredJob): StoredJob {
  if (job.failure?.stack === undefined) return job;
  const { stack: _, ...failure } = job.failure;
  return { ...job, failure };
}

/** How many of the jobs surely fit into a message; at least one, because a single job always does. */
function fitting(jobs: readonly StoredJob[], limits: ListParts["limits"]): number {
  let bytes = 0;
  let values = 0;
  const tooMany = jobs.findIndex(({ failure, labels }) => {
    bytes += plainJobBytes + jsonBytes(failure) * failureGrowth + jsonBytes(labels) * labelGrowth;
    values += valuesOfFields(labels) + valuesOfFailure(failure);
    return bytes > limits.messageBytes || values > limits.values;
  });
  return tooMany === -1 ? jobs.length : Math.max(tooMany, 1);
}

function jsonBytes(value: object | null | undefined): number {
  return value ? Buffer.byteLength(JSON.stringify(value)) : 0;
}
