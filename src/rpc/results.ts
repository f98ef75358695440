/** `Results` and `AckResults`: reads a channel without an `Exchange`. */
import { create } from "@bufbuild/protobuf";
import type { Clock } from "../clock.ts";
import { drainingRetryMs } from "../engine/admit/admission.ts";
import { maxBatch, type ResultReaders } from "../engine/deliver/result-readers.ts";
import { refusal } from "../errors.ts";
import {
  type AckResultsRequest,
  type AckResultsResponse,
  AckResultsResponseSchema,
  type ResultsRequest,
  type ResultsResponse,
  ResultsResponseSchema,
} from "../gen/millpond/v1/worker_pool_pb.ts";
import type { AckRequest, Store } from "../store/store.ts";
import type { Tracing } from "../tracing.ts";
import type { CallContext } from "./call.ts";
import { fromResult } from "./convert/result.ts";
import { toChannel } from "./names.ts";
import { createOutbox, openLater } from "./outbox.ts";
import { piecesOf } from "./values.ts";

export type ResultsParts = {
  readonly readers: ResultReaders;
  readonly store: Pick<Store, "ack">;
  readonly tracing: Pick<Tracing, "delivered">;
  readonly clock: Clock;
  readonly limits: { readonly slowReaderMs: number; readonly values: number };
};

export function results(
  parts: ResultsParts,
  request: ResultsRequest,
  call: CallContext,
): AsyncIterableIterator<ResultsResponse> {
  return openLater(() => open(parts, request, call));
}

async function open(
  { readers, tracing, clock, limits: { slowReaderMs, values } }: ResultsParts,
  { channel, afterCursor, stopAtEnd }: ResultsRequest,
  call: CallContext,
): Promise<AsyncIterator<ResultsResponse>> {
  const from = { channel: toChannel(channel), afterCursor: Number(afterCursor), stopAtEnd };
  const reader = await readers.open({ client: call.client, ...from });
  const outbox = createOutbox<ResultsResponse>({
    clock,
    signal: call.signal,
    stallMs: slowReaderMs,
    stalled: () => refusal("slow_consumer", [slowReaderMs, reader.cursor()]),
    onClose: () => reader.close(),
  });
  /** Sends one batch. Resolves with false at the end. Does not keep the batch in memory while the client reads it. */
  const sendNext = async () => {
    const batch = await reader.next(maxBatch);
    if (batch.length === 0) return false;
    const readAt = clock.exactNow();
    for (const piece of piecesOf(batch, values)) {
      const cursor = BigInt(piece.at(-1)?.cursor ?? 0);
      await outbox.push(create(ResultsResponseSchema, { results: piece.map(fromResult), cursor }));
      tracing.delivered(piece, readAt);
    }
    return true;
  };
  const send = async () => {
    while (await sendNext());
    outbox.end(stopAtEnd ? undefined : refusal("draining", [], { retryAfterMs: drainingRetryMs }));
  };
  send().catch(outbox.fail);
  return outbox;
}

export async function ackResults(
  parts: Pick<ResultsParts, "readers" | "store">,
  request: AckResultsRequest,
  { client }: CallContext,
): Promise<AckResultsResponse> {
  const channel = toChannel(request.channel);
  const cursor = await acknowledge(parts, { client, channel, cursor: Number(request.cursor) });
  return create(AckResultsResponseSchema, { cursor: BigInt(cursor) });
}

/** Acknowledges, notifies the channel's readers, and returns the resulting position of the channel. */
export async function acknowledge(
  { store, readers }: Pick<ResultsParts, "readers" | "store">,
  request: AckRequest,
): Promise<number> {
  const { client, channel, cursor } = request;
  const [answer] = await store.ack([request]);
  if (answer?.kind === "out_of_range") {
    throw refusal("cursor_from_the_future", [cursor, channel, answer.lastCursor]);
  }
  const inForce = answer?.cursor ?? 0;
  readers.acknowledged(client, channel, inForce);
  return inForce;
}
