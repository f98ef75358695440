/** `Submit`: many jobs, one answer, once those accepted are on disk. */
import { create } from "@bufbuild/protobuf";
import type { Admission } from "../engine/admit/admission.ts";
import { defaultChannel } from "../engine/admit/draft.ts";
import { type SubmitRequest, type SubmitResponse, SubmitResponseSchema } from "../gen/millpond/v1/worker_pool_pb.ts";
import type { Tracing } from "../tracing.ts";
import type { CallContext } from "./call.ts";
import { fromAdmitted, toDraft } from "./convert/spec.ts";
import { acceptedOf } from "./refused.ts";

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
