import { create } from "@bufbuild/protobuf";
import { AckResultsRequestSchema, WorkerPoolService } from "../../src/gen/millpond/v1/worker_pool_pb.ts";
import type { Call } from "./call.ts";

/** Acknowledges the results of one channel, one call at a time: what is asked for meanwhile goes with the next. */
export type Acknowledger = {
  /** Resolves once everything up to `cursor` is acknowledged. */
  ack(cursor: number): Promise<void>;
};

/** Acknowledges up to a cursor; returns the position now acknowledged, higher when a later one already was. */
export async function acknowledge(call: Call, channel: string, cursor: number): Promise<number> {
  const request = create(AckResultsRequestSchema, { channel, cursor: BigInt(cursor) });
  const response = await call(WorkerPoolService.method.ackResults, request);
  return Number(response.cursor);
}

export function createAcknowledger(call: Call, channel: string): Acknowledger {
  let wanted = 0;
  let acked = 0;
  let running: Promise<void> | undefined;

  const run = async () => {
    try {
      const cursor = wanted;
      await acknowledge(call, channel, cursor);
      acked = cursor;
    } finally {
      running = undefined;
    }
  };

  return {
    ack: async (cursor) => {
      wanted = Math.max(wanted, cursor);
      while (acked < cursor) {
        running ??= run();
        await running;
      }
    },
  };
}
