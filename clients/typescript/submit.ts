import { create } from "@bufbuild/protobuf";
import { SubmitRequestSchema, WorkerPoolService } from "../../src/gen/millpond/v1/worker_pool_pb.ts";
import type { Call } from "./call.ts";
import { MillpondClientError } from "./error.ts";
import type { Job } from "./job.ts";
import type { JobRefusal } from "./result.ts";
import { toRefusal } from "./result.ts";
import type { Tracing } from "./tracing.ts";
import { endOfLost } from "./tracing.ts";

/** The bounds on one call: those of a server with default limits, and well below its bound on a message. */
const maxJobs = 1_000;
const maxBytes = 2 * 1024 * 1024;
const maxValues = 20_000;

/** What became of one submitted job. */
export type JobReceipt =
  /** It is on disk. `isDuplicate`: it was before, nothing was added. */
  | { readonly jobId: string; readonly isDuplicate: boolean; readonly refusal?: undefined }
  | { readonly jobId?: undefined; readonly isDuplicate?: undefined; readonly refusal: JobRefusal };

/** What submitting works with. */
export type Submitting = { readonly call: Call; readonly tracing: Tracing };

/** Submits one job; its id once it is on disk. Throws a MillpondClientError when it is refused. */
export async function submitOne({ call, tracing }: Submitting, job: Job): Promise<string> {
  try {
    const [receipt] = await traced(tracing, [job], (jobs) => callSubmit(call, jobs));
    return receipt?.jobId ?? job.spec.id;
  } catch (error) {
    throw aboutOneJob(error, "jobs[0].");
  }
}

/** The error of a call with one job, in terms of the job: fields begin at it and not at the call. */
export function aboutOneJob(error: unknown, prefix: string): unknown {
  if (!(error instanceof MillpondClientError) || !isRefusal(error)) return error;
  return new MillpondClientError({ ...toOwnRefusal(error, prefix), codeName: error.codeName }, { cause: error });
}

/** Submits jobs in as few calls as the limits allow; one receipt for each, in their order. */
export async function submitAll({ call, tracing }: Submitting, jobs: readonly Job[]): Promise<JobReceipt[]> {
  const receipts: JobReceipt[] = [];
  for (let start = 0; start < jobs.length; start = receipts.length) {
    const some = jobs.slice(start, endOfCall(jobs, start));
    receipts.push(...(await traced(tracing, some, (each) => submitSome(call, each))));
  }
  return receipts;
}

/** Their spans end with the receipts: who reads the results, and when, is not known here. */
async function traced(
  tracing: Tracing,
  jobs: readonly Job[],
  send: (jobs: readonly Job[]) => Promise<JobReceipt[]>,
): Promise<JobReceipt[]> {
  const tracer = await tracing.tracer();
  if (!tracer) return send(jobs);
  const begun = jobs.map((job) => tracer.begin(job.spec));
  try {
    const receipts = await send(begun.map(({ spec }, at) => ({ ...(jobs[at] as Job), spec })));
    for (const [at, each] of begun.entries()) each.end({ failure: receipts[at]?.refusal });
    return receipts;
  } catch (error) {
    for (const each of begun) each.end(endOfLost(error));
    throw error;
  }
}

/**
 * When no job of a call was accepted, the call fails with the refusal of the first and says nothing about the others. So
 * the jobs are submitted again in halves, unless the refusal is temporary and does not concern the job.
 */
async function submitSome(call: Call, jobs: readonly Job[]): Promise<JobReceipt[]> {
  try {
    return await callSubmit(call, jobs);
  } catch (error) {
    if (!(error instanceof MillpondClientError) || !isRefusal(error)) throw error;
    if (jobs.length === 1 || error.retryAfterMs !== undefined) {
      const refusal = toOwnRefusal(error, "jobs[0].");
      return jobs.map(() => ({ refusal }));
    }
    const half = jobs.length >> 1;
    const first = await submitSome(call, jobs.slice(0, half));
    return [...first, ...(await submitSome(call, jobs.slice(half)))];
  }
}

async function callSubmit(call: Call, jobs: readonly Job[]): Promise<JobReceipt[]> {
  const request = create(SubmitRequestSchema, { jobs: jobs.map(({ spec }) => spec) });
  const { receipts } = await call(WorkerPoolService.method.submit, request);
  return receipts.map(({ receipt }): JobReceipt => {
    if (receipt.case === "refusal") return { refusal: toRefusal(receipt.value) };
    return { jobId: receipt.value ?? "", isDuplicate: receipt.case === "duplicateOf" };
  });
}

/** The status of a call names fields from the call on; to the one job it is about, the beginning says nothing. */
function toOwnRefusal({ reason, message, retryAfterMs, violations }: MillpondClientError, prefix: string): JobRefusal {
  const own = (field: string) => (field.startsWith(prefix) ? field.slice(prefix.length) : field);
  return {
    reason,
    message: violations.reduce((text, { field }) => text.replace(`${field}:`, `${own(field)}:`), message),
    retryAfterMs,
    violations: violations.map(({ field, description }) => ({ field: own(field), description })),
  };
}

function isRefusal({ codeName }: MillpondClientError): boolean {
  return refusals.has(codeName);
}

/** The codes with which a server refuses jobs; every other one is a call that failed. */
const refusals: ReadonlySet<string> = new Set([
  "INVALID_ARGUMENT",
  "NOT_FOUND",
  "ALREADY_EXISTS",
  "RESOURCE_EXHAUSTED",
  "FAILED_PRECONDITION",
]);

function endOfCall(jobs: readonly Job[], start: number): number {
  const last = Math.min(jobs.length, start + maxJobs);
  let bytes = 0;
  let values = 0;
  for (let end = start; end < last; end++) {
    bytes += jobs[end]?.sizeBytes ?? 0;
    values += jobs[end]?.values ?? 0;
    if (bytes > maxBytes || values > maxValues) return Math.max(end, start + 1);
  }
  return last;
}
