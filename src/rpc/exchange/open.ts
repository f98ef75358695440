/** How an `Exchange` stream begins. */
import { invalid } from "../../errors.ts";
import type { ExchangeOpen } from "../../gen/millpond/v1/worker_pool_pb.ts";
import { toChannel } from "../names.ts";

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
