import { create } from "@bufbuild/protobuf";
import { ResultsRequestSchema, WorkerPoolService } from "../../src/gen/millpond/v1/worker_pool_pb.ts";
import { createAcknowledger } from "./ack.ts";
import type { Call } from "./call.ts";
import type { Connection } from "./connection.ts";
import { follow } from "./follow.ts";
import type { Reconnect } from "./reconnect.ts";
import type { JobResult } from "./result.ts";
import { toJobResult } from "./result.ts";

export type ResultsOptions = {
  /** Default: `default`. */
  readonly channel?: string | undefined;
  /** Results after this position. Default 0: all that are not acknowledged. */
  readonly afterCursor?: number | undefined;
  /** Ends after the results that are there now, instead of waiting for more. Default false. */
  readonly stopAtEnd?: boolean | undefined;
  /** Acknowledges each result once the next one is asked for. Default false: `result.ack()` does. */
  readonly autoAck?: boolean | undefined;
  /** Ends the loop quietly. */
  readonly signal?: AbortSignal | undefined;
};

/** A result, and the way to acknowledge it. */
export type ReceivedResult = JobResult & {
  /** Acknowledges this result and all before it in its channel, for every reader: they are never sent again. */
  ack(): Promise<void>;
};

export type ResultsContext = {
  readonly connection: Connection;
  readonly call: Call;
  readonly reconnect: Reconnect;
};

/** Yields a channel's results in their order, each once, over as many connections as it takes. */
export async function* results(
  { connection, call, reconnect }: ResultsContext,
  { channel = "", afterCursor = 0, stopAtEnd = false, autoAck = false, signal }: ResultsOptions = {},
): AsyncGenerator<ReceivedResult, void, undefined> {
  const { ack } = createAcknowledger(call, channel);
  let last = afterCursor;
  let acking: Promise<void> | undefined;
  let failure: { readonly error: unknown } | undefined;

  const open = () => {
    const request = create(ResultsRequestSchema, { channel, afterCursor: BigInt(last), stopAtEnd });
    return connection.serverStream(WorkerPoolService.method.results, request);
  };
  const ackInBackground = (cursor: number) => {
    acking = ack(cursor).catch((error: unknown) => {
      failure ??= { error };
    });
  };

  try {
    for await (const response of follow({ open, reconnect, mayEnd: stopAtEnd, signal })) {
      for (const result of response.results) {
        if (Number(result.cursor) <= last) continue;
        const received = toJobResult(result);
        last = received.cursor;
        yield { ...received, ack: () => ack(received.cursor) };
        if (failure !== undefined) throw failure.error;
        if (autoAck) ackInBackground(received.cursor);
        if (signal?.aborted) return;
      }
    }
    await acking;
    if (failure !== undefined) throw failure.error;
  } finally {
    await acking;
  }
}
