/** `Submit`: many jobs, one answer, once those accepted are on disk. */
import { create } from "@bufbuild/protobuf";
import type { Admission } from "../engine/admission.ts";
import { defaultChannel } from "../engine/draft.ts";
import { type SubmitRequest, type SubmitResponse, SubmitResponseSchema } from "../gen/millpond/v1/worker_pool_pb.ts";
import type { Tracing } from "../telemetry/instruments.ts";
import type { CallContext } from "./call.ts";
import { fromAdmitted, toDraft } from "./convert/spec.ts";
import { acceptedOf } from "./refused.ts";

export type SubmitParts = { readonly admission: Admission; readonly tracing: Tracing };

/** Fails with the first refusal when no job was accepted. */
export async function submit(
  { admission, tracing }: SubmitParts,
  { jobs }: SubmitRequest,
  call: CallContext,
): Promise<SubmitResponse> {
  const span = tracing.submit(call.trace, call.client);
  try {
    const drafts = jobs.map((spec) => toDraft(spec, defaultChannel));
    const admitted = await admission.admit(call.client, drafts, span.trace, call.signal);
    const refused = admitted.filter(({ kind }) => kind === "refused").length;
    if (refused === admitted.length) acceptedOf(admitted[0], "jobs[0]");
    span.end({ accepted: admitted.length - refused, refused });
    return create(SubmitResponseSchema, { receipts: admitted.map(fromAdmitted) });
  } catch (error) {
    span.end({ error: String(error) });
    throw error;
  }
}
