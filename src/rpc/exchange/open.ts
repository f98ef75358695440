/** The first request of an `Exchange` stream, and the response to it. */
import { invalid } from "../../errors.ts";
import type { ExchangeOpen, ExchangeResponse } from "../../gen/millpond/v1/worker_pool_pb.ts";
import { toChannel } from "../names.ts";
import { response } from "./responses.ts";

export type Open = { readonly channel: string; readonly afterCursor: number; readonly maxUnacked: number };

const defaultUnacked = 1_000;
const mostUnacked = 10_000;

export function parseOpen({ channel, afterCursor, maxUnacked }: ExchangeOpen): Open {
  if (maxUnacked > mostUnacked) {
    throw invalid([{ field: "open.max_unacked", description: `is ${maxUnacked} and must be 1 to ${mostUnacked}` }]);
  }
  return {
    channel: toChannel(channel, "open.channel"),
    afterCursor: Number(afterCursor),
    maxUnacked: maxUnacked || defaultUnacked,
  };
}

export function opened(
  { afterCursor, maxUnacked }: Open,
  limits: { readonly jobsPerSubmit: number; readonly messageBytes: number; readonly values: number },
): ExchangeResponse {
  return response({
    case: "opened",
    value: {
      $typeName: "millpond.v1.ExchangeOpened",
      cursor: BigInt(afterCursor),
      maxUnacked,
      maxJobsPerSubmit: limits.jobsPerSubmit,
      maxMessageBytes: limits.messageBytes,
      maxValues: limits.values,
    },
  });
}
