/** The receipt that a submitted job gets. */
import { create } from "@bufbuild/protobuf";
import type { Admitted } from "../../engine/admit/admission.ts";
import type { MillpondError } from "../../errors.ts";
import { type Receipt, type Refusal, RefusalSchema } from "../../gen/millpond/v1/job_pb.ts";
import { durationFromMs } from "./time.ts";

export function fromAdmitted(admitted: Admitted): Receipt {
  return { $typeName: "millpond.v1.Receipt", receipt: receiptOf(admitted) };
}

function receiptOf(admitted: Admitted): Receipt["receipt"] {
  switch (admitted.kind) {
    case "accepted":
      return { case: "jobId", value: admitted.id };
    case "duplicate":
      return { case: "duplicateOf", value: admitted.id };
    case "refused":
      return { case: "refusal", value: fromRefusal(admitted.error) };
  }
}

function fromRefusal({ reason, message, retryAfterMs, violations }: MillpondError): Refusal {
  return create(RefusalSchema, {
    reason,
    message,
    ...(retryAfterMs !== undefined && { retryAfter: durationFromMs(retryAfterMs) }),
    fieldViolations: violations.map(({ field, description }) => ({ field, description })),
  });
}
