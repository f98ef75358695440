/** What an `Exchange` stream sends. */
import type { Admitted } from "../../engine/admission.ts";
import type {
  CancelAnswer,
  ExchangeNotice_Kind as Notice,
  ExchangeResponse,
} from "../../gen/millpond/v1/worker_pool_pb.ts";
import type { StoredResult } from "../../job/job.ts";
import { fromResult } from "../convert/job.ts";
import { fromAdmitted } from "../convert/spec.ts";
import type { Open } from "./open.ts";

export type Response = NonNullable<ExchangeResponse["response"]>;

export function opened(
  { afterCursor, maxUnacked }: Open,
  limits: { readonly jobsPerSubmit: number; readonly messageBytes: number },
): Response {
  return {
    case: "opened",
    value: {
      $typeName: "millpond.v1.ExchangeOpened",
      cursor: BigInt(afterCursor),
      maxUnacked,
      maxJobsPerSubmit: limits.jobsPerSubmit,
      maxMessageBytes: limits.messageBytes,
    },
  };
}

export function accepted(seq: number, admitted: readonly Admitted[]): Response {
  const receipts = admitted.map(fromAdmitted);
  return { case: "accepted", value: { $typeName: "millpond.v1.ExchangeAccepted", seq, receipts } };
}

export function cancelled(seq: number, answers: CancelAnswer[]): Response {
  return { case: "cancelled", value: { $typeName: "millpond.v1.ExchangeCancelled", seq, answers } };
}

export function delivered(results: readonly StoredResult[]): Response {
  const cursor = BigInt(results.at(-1)?.cursor ?? 0);
  return {
    case: "results",
    value: { $typeName: "millpond.v1.ExchangeResults", results: results.map(fromResult), cursor },
  };
}

export function notice(kind: Notice, message: string): Response {
  return { case: "notice", value: { $typeName: "millpond.v1.ExchangeNotice", kind, message } };
}
