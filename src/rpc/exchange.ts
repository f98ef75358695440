/** The Exchange stream: submits and cancels in, receipts and results out. */
import type { Clock } from "../clock.ts";
import type { Admission } from "../engine/admit/admission.ts";
import type { Canceller } from "../engine/act/cancel.ts";
import type { ResultReaders } from "../engine/deliver/result-readers.ts";
import { refusal } from "../errors.ts";
import {
  ExchangeNotice_Kind as Notice,
  type ExchangeRequest,
  type ExchangeResponse,
} from "../gen/millpond/v1/worker_pool_pb.ts";
import { createSignal } from "../lifecycle.ts";
import type { Store } from "../store/store.ts";
import type { Tracing } from "../tracing.ts";
import type { CallContext } from "./call.ts";
import { createAcks, createUnacked } from "./exchange/acks.ts";
import { createPendingResults } from "./exchange/pending-results.ts";
import { opened, parseOpen } from "./exchange/open.ts";
import { notice } from "./exchange/responses.ts";
import { createStream, type Stream } from "./exchange/stream.ts";
import { createSubmits } from "./exchange/submits.ts";
import { createOutbox, openLater } from "./outbox.ts";

export type ExchangeParts = {
  readonly admission: Admission;
  readonly canceller: Canceller;
  readonly readers: ResultReaders;
  readonly store: Pick<Store, "ack" | "get">;
  readonly tracing: Pick<Tracing, "submission" | "delivered">;
  readonly clock: Clock;
  readonly limits: {
    readonly jobsPerSubmit: number;
    readonly messageBytes: number;
    readonly values: number;
    readonly slowReaderMs: number;
    /** Bound on the jobs of one stream whose results are not sent yet; at the bound no submit is read. Absent: 100,000. */
    readonly pendingJobs?: number;
  };
  /** Aborts when the server begins to drain. */
  readonly draining: AbortSignal;
  /** Aborts when every job that ran is settled and the connections are about to be closed. */
  readonly closing: AbortSignal;
};

const defaultMaxPending = 100_000;

export function exchange(
  parts: ExchangeParts,
  requests: AsyncIterable<ExchangeRequest>,
  call: CallContext,
): AsyncIterableIterator<ExchangeResponse> {
  return openLater(() => openExchange(parts, requests, call));
}

async function openExchange(
  parts: ExchangeParts,
  requests: AsyncIterable<ExchangeRequest>,
  call: CallContext,
): Promise<AsyncIterator<ExchangeResponse>> {
  const { readers, clock, limits, draining } = parts;
  const incoming = requests[Symbol.asyncIterator]();
  const first = await incoming.next();
  if (first.done || first.value.request.case !== "open")
    throw refusal("protocol_violation", ["the first request must be `open`"]);
  const open = parseOpen(first.value.request.value);
  const from = { client: call.client, channel: open.channel };
  const unacked = createUnacked(open.afterCursor, open.maxUnacked);
  const reader = await readers.open({
    ...from,
    afterCursor: open.afterCursor,
    stopAtEnd: false,
    onSkipped: () => stream.skipped(),
    onAcknowledged: unacked.acknowledged,
  });
  const closed = createSignal();
  const outbox = createOutbox<ExchangeResponse>({
    clock,
    signal: call.signal,
    stallMs: limits.slowReaderMs,
    stalled: () => refusal("slow_consumer", [limits.slowReaderMs, reader.cursor()]),
    onClose() {
      reader.close();
      closed.fire();
    },
  });
  const pending = createPendingResults({ store: parts.store, ...from, cursor: reader.cursor });
  const onThrottled = (waitMs: number) => {
    const text = `over the rate: the next jobs are read in ${Math.ceil(waitMs)} ms`;
    void outbox.push(notice(Notice.THROTTLED, text));
  };
  const stream: Stream = createStream({
    ...parts,
    ...{ client: call.client, reader, outbox, pending, unacked },
    submits: createSubmits({ ...parts, call, channel: open.channel, pending, onThrottled }),
    acks: createAcks(parts, from, unacked),
    maxValues: limits.values,
    maxPending: limits.pendingJobs ?? defaultMaxPending,
  });
  const notifyDraining = () => {
    void outbox.push(notice(Notice.DRAINING, "the server is about to stop: submit elsewhere or later"));
  };
  draining.addEventListener("abort", notifyDraining, { once: true });
  void closed.promise.then(() => {
    draining.removeEventListener("abort", notifyDraining);
    stream.close();
    void incoming.return?.().catch(() => undefined); // not awaited: it waits for the request that is being read
  });
  void outbox.push(opened(open, limits));
  if (draining.aborted) notifyDraining();
  stream.receive(incoming).catch(outbox.fail);
  stream.send().catch(outbox.fail);
  return outbox;
}
