/** Builds the responses of an `Exchange` stream. */
import { create } from "@bufbuild/protobuf";
import type { Admitted } from "../../engine/admit/admission.ts";
import {
  type CancelAnswer,
  type ExchangeNotice_Kind as Notice,
  type ExchangeResponse,
  ExchangeResponseSchema,
} from "../../gen/millpond/v1/worker_pool_pb.ts";
import type { StoredResult } from "../../job/job.ts";
import { fromAdmitted } from "../convert/receipt.ts";
import { fromResult } from "../convert/result.ts";

export function accepted(seq: number, admitted: readonly Admitted[]): ExchangeResponse {
  const receipts = admitted.map(fromAdmitted);
  return response({ case: "accepted", value: { $typeName: "millpond.v1.ExchangeAccepted", seq, receipts } });
}

export function cancelled(seq: number, answers: CancelAnswer[]): ExchangeResponse {
  return response({ case: "cancelled", value: { $typeName: "millpond.v1.ExchangeCancelled", seq, answers } });
}

export function delivered(results: readonly StoredResult[]): ExchangeResponse {
  const cursor = BigInt(results.at(-1)?.cursor ?? 0);
  return response({
    case: "results",
    value: { $typeName: "millpond.v1.ExchangeResults", results: results.map(fromResult), cursor },
  });
}

export function notice(kind: Notice, message: string): ExchangeResponse {
  return response({ case: "notice", value: { $typeName: "millpond.v1.ExchangeNotice", kind, message } });
}

/** The message of one kind of response. */
export function response(content: NonNullable<ExchangeResponse["response"]>): ExchangeResponse {
  return create(ExchangeResponseSchema, { response: content });
}
