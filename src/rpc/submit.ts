/** `Submit`: many jobs and one response, once the accepted ones are on disk. */
import { create } from "@bufbuild/protobuf";
import type { Admission, Admitted } from "../engine/admit/admission.ts";
import { defaultChannel } from "../engine/admit/draft.ts";
import { invalid, type MillpondError } from "../errors.ts";
import { type SubmitRequest, type SubmitResponse, SubmitResponseSchema } from "../gen/millpond/v1/worker_pool_pb.ts";
import type { Tracing } from "../tracing.ts";
import type { CallContext } from "./call.ts";
import { toDraft } from "./convert/job.ts";
import { fromAdmitted } from "./convert/receipt.ts";

export type SubmitParts = { readonly admission: Admission; readonly tracing: Pick<Tracing, "submission"> };

/** Fails with the first refusal when no job was accepted. */
export async function submit(
  { admission, tracing }: SubmitParts,
  { jobs }: SubmitRequest,
  call: CallContext,
): Promise<SubmitResponse> {
  const submission = tracing.submission(call, "Submit");
  try {
    const drafts = jobs.map((spec) => toDraft(spec, defaultChannel, submission.next(spec.traceContext)));
    const admitted = await admission.admit(call.client, drafts, call.signal);
    if (admitted.every(({ kind }) => kind === "refused")) acceptedOf(admitted[0], "jobs[0]");
    submission.end(admitted);
    return create(SubmitResponseSchema, { receipts: admitted.map(fromAdmitted) });
  } catch (error) {
    submission.fail(error);
    throw error;
  }
}

export type Accepted = Exclude<Admitted, { readonly kind: "refused" }>;

/** The accepted job; throws its refusal with `path`, the job's position in the request. */
export function acceptedOf(admitted: Admitted | undefined, path: string): Accepted {
  if (!admitted) throw new Error("admission returned no answer for a job");
  if (admitted.kind === "refused") throw refusedAt(path, admitted.error);
  return admitted;
}

/** Prefixes the field paths of a job's error, which start at the job, with its path in the request. */
function refusedAt(path: string, error: MillpondError): MillpondError {
  if (error.violations.length === 0) return error;
  return invalid(error.violations.map(({ field, description }) => ({ field: `${path}.${field}`, description })));
}
