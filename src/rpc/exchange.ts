/** The Exchange stream: submits in, receipts and results out, each slowed by the other side when it must be. */
import { create } from "@bufbuild/protobuf";
import { type Admission, type Admitted, drainingRetryMs } from "../engine/admission.ts";
import type { ResultReader, ResultReaders } from "../engine/results.ts";
import { maxBatch } from "../engine/results.ts";
import type { Clock } from "../clock.ts";
import { invalid, refusal } from "../errors.ts";
import {
  type ExchangeOpen,
  ExchangeNotice_Kind as Notice,
  type ExchangeRequest,
  type ExchangeResponse,
  ExchangeResponseSchema,
  type ExchangeSubmit,
} from "../gen/millpond/v1/worker_pool_pb.ts";
import type { StoredResult } from "../job/job.ts";
import { createSignal } from "../lifecycle.ts";
import type { Store } from "../store/store.ts";
import type { Tracing } from "../telemetry/instruments.ts";
import { type CallContext, parseTrace } from "./call.ts";
import { fromAdmitted, fromResult, toChannel, toDraft } from "./convert.ts";
import { createOutbox, type Outbox } from "./outbox.ts";

export type ExchangeParts = {
  readonly admission: Admission;
  readonly readers: ResultReaders;
  readonly store: Pick<Store, "ack" | "get">;
  readonly tracing: Tracing;
  readonly clock: Clock;
  readonly limits: { readonly jobsPerSubmit: number; readonly messageBytes: number; readonly slowReaderMs: number };
  /** Aborts when the server begins to drain. */
  readonly draining: AbortSignal;
  /** Aborts when every job that ran is settled and the connections are about to be closed. */
  readonly closing: AbortSignal;
};

const defaultUnacked = 1_000;
const maxUnacked = 10_000;
/** Submits of one stream whose receipts were not sent yet; beyond it the stream is not read. */
const maxSubmitsUnderWay = 8;

type Response = NonNullable<ExchangeResponse["response"]>;

export async function* exchange(
  parts: ExchangeParts,
  requests: AsyncIterable<ExchangeRequest>,
  call: CallContext,
): AsyncGenerator<ExchangeResponse> {
  const incoming = requests[Symbol.asyncIterator]();
  const first = await incoming.next();
  if (first.done || first.value.request.case !== "open")
    throw refusal("protocol_violation", ["the first request must be `open`"]);
  const open = parseOpen(first.value.request.value);
  const reader = await parts.readers.open({
    client: call.client,
    channel: open.channel,
    afterCursor: open.afterCursor,
    stopAtEnd: false,
    onSkipped: () => stream.skipped(),
  });
  const outbox = createOutbox<Response>({
    clock: parts.clock,
    signal: call.signal,
    stallMs: parts.limits.slowReaderMs,
    stalled: () => refusal("slow_consumer", [parts.limits.slowReaderMs, reader.cursor()]),
    onClose: () => reader.close(),
  });
  const stream: Stream = createStream(parts, call, open, reader, outbox);
  const notice = () => stream.notice(Notice.DRAINING, "the server is about to stop: submit elsewhere or later");
  parts.draining.addEventListener("abort", notice, { once: true });
  try {
    void outbox.push(opened(open, parts.limits));
    if (parts.draining.aborted) notice();
    stream.receive(incoming).catch(outbox.fail);
    stream.send().catch(outbox.fail);
    for await (const response of outbox) yield create(ExchangeResponseSchema, { response });
  } finally {
    parts.draining.removeEventListener("abort", notice);
    stream.close();
    void incoming.return?.().catch(() => undefined); // not awaited: it would wait for the request being read
  }
}

type Open = { readonly channel: string; readonly afterCursor: number; readonly maxUnacked: number };

function parseOpen({ channel, afterCursor, maxUnacked: asked }: ExchangeOpen): Open {
  if (asked > maxUnacked) {
    throw invalid([{ field: "open.max_unacked", description: `is ${asked} and must be 1 to ${maxUnacked}` }]);
  }
  return {
    channel: toChannel(channel, "open.channel"),
    afterCursor: Number(afterCursor),
    maxUnacked: asked || defaultUnacked,
  };
}

function opened(open: Open, limits: ExchangeParts["limits"]): Response {
  return {
    case: "opened",
    value: {
      $typeName: "millpond.v1.ExchangeOpened",
      cursor: BigInt(open.afterCursor),
      maxUnacked: open.maxUnacked,
      maxJobsPerSubmit: limits.jobsPerSubmit,
      maxMessageBytes: limits.messageBytes,
    },
  };
}

type Stream = {
  /** Reads requests until the client half-closes. */
  receive(requests: AsyncIterator<ExchangeRequest>): Promise<void>;
  /** Sends results as they come, until the client wants no more. */
  send(): Promise<void>;
  notice(kind: Notice, text: string): void;
  /** Results were passed over: somebody has acknowledged them already. */
  skipped(): void;
  close(): void;
};

function createStream(
  { admission, store, tracing, closing }: ExchangeParts,
  call: CallContext,
  open: Open,
  reader: ResultReader,
  outbox: Outbox<Response>,
): Stream {
  /** Jobs of this stream and channel whose results are still to come. */
  const awaited = new Set<string>();
  let submitsUnderWay = 0;
  let acksUnderWay = 0;
  let submitDone = createSignal();
  let isHalfClosed = false;
  /** Results up to here need no acknowledgement any more. */
  let acknowledged = open.afterCursor;
  let roomCame = createSignal();
  let isThrottled = false;
  /** `awaited` may hold jobs whose results were passed over. */
  let hasSkipped = false;

  const endIfDone = () => {
    if (isHalfClosed && submitsUnderWay === 0 && acksUnderWay === 0 && awaited.size === 0) outbox.end();
  };

  function lookForRoom(): void {
    roomCame.fire();
    roomCame = createSignal();
  }

  async function submit(request: ExchangeSubmit): Promise<void> {
    const span = tracing.submit(parseTrace(request.traceparent) ?? call.trace, call.client);
    try {
      const drafts = request.jobs.map((spec) => toDraft(spec, open.channel));
      const repeated: string[] = [];
      // at once, piece by piece: while a client over its rate waits for the rest, results of the first already come
      const onAdmitted = (piece: readonly Admitted[]) => void repeated.push(...expectResults(piece));
      const options = { signal: call.signal, onWait: throttled, onAdmitted };
      const admitted = await admission.admitSlowly(call.client, drafts, span.trace, options);
      isThrottled = false;
      const refused = admitted.filter(({ kind }) => kind === "refused").length;
      span.end({ accepted: admitted.length - refused, refused });
      await forgetFinal(repeated);
      await outbox.push(accepted(request.seq, admitted));
    } catch (error) {
      span.end({ error: String(error) });
      throw error;
    } finally {
      submitsUnderWay -= 1;
      submitDone.fire();
      submitDone = createSignal();
      endIfDone();
    }
  }

  /** From now on the results of these jobs are awaited; returns the ids of those that were submitted before. */
  function expectResults(admitted: readonly Admitted[]): string[] {
    const repeated: string[] = [];
    for (const each of admitted) {
      if (each.kind === "refused" || each.channel !== open.channel) continue;
      if (each.kind === "duplicate") {
        if (each.finalCursor !== null && each.finalCursor <= reader.cursor()) continue;
        repeated.push(each.id);
      }
      awaited.add(each.id);
    }
    return repeated;
  }

  /** Jobs that became final unseen, or whose results were sent already, are awaited no longer. */
  async function forgetFinal(ids: Iterable<string>): Promise<void> {
    for (const id of ids) {
      const job = await store.get({ client: call.client, id });
      if (!job || (job.cursor !== null && job.cursor <= reader.cursor())) awaited.delete(id);
    }
  }

  /** Only who has half-closed waits for the end, so only then it is worth asking the store. */
  async function forgetSkipped(): Promise<void> {
    if (!isHalfClosed || !hasSkipped) return;
    hasSkipped = false;
    await forgetFinal(awaited);
    endIfDone();
  }

  function skipped(): void {
    hasSkipped = true;
    forgetSkipped().catch(outbox.fail);
  }

  function throttled(waitMs: number): void {
    if (isThrottled) return;
    isThrottled = true;
    notice(Notice.THROTTLED, `over the rate: the next jobs are read in ${Math.ceil(waitMs)} ms`);
  }

  function notice(kind: Notice, text: string): void {
    void outbox.push({ case: "notice", value: { $typeName: "millpond.v1.ExchangeNotice", kind, message: text } });
  }

  async function ack(cursor: number): Promise<void> {
    acksUnderWay += 1;
    const [answer] = await store.ack([{ client: call.client, channel: open.channel, cursor }]);
    acksUnderWay -= 1;
    if (answer?.kind === "out_of_range") {
      throw refusal("cursor_from_the_future", [cursor, open.channel, answer.lastCursor]);
    }
    acknowledged = Math.max(acknowledged, Math.min(cursor, reader.cursor())); // what was not sent makes no room
    lookForRoom();
    endIfDone();
  }

  async function receive(requests: AsyncIterator<ExchangeRequest>): Promise<void> {
    for (let next = await requests.next(); !next.done; next = await requests.next()) {
      const { request } = next.value;
      switch (request.case) {
        case "submit":
          submitsUnderWay += 1;
          submit(request.value).catch(outbox.fail);
          while (submitsUnderWay >= maxSubmitsUnderWay) await submitDone.promise;
          break;
        case "ack":
          ack(Number(request.value.cursor)).catch(outbox.fail);
          break;
        case "open":
          throw refusal("protocol_violation", ["`open` came twice on one stream"]);
        default:
          throw refusal("malformed_request", ["it is empty, or of a newer version of the protocol"]);
      }
    }
    isHalfClosed = true;
    lookForRoom();
    await forgetSkipped();
    endIfDone();
  }

  async function send(): Promise<void> {
    for (;;) {
      // who has half-closed can acknowledge nothing more here: then only flow control holds the results back
      const room = isHalfClosed ? maxBatch : open.maxUnacked - (reader.cursor() - acknowledged);
      if (room <= 0 && !closing.aborted) {
        await roomCame.promise;
        continue;
      }
      const before = reader.cursor();
      const results = room > 0 ? await reader.next(Math.min(room, maxBatch)) : [];
      const first = results[0];
      if (!first) return outbox.end(refusal("draining", [], { retryAfterMs: drainingRetryMs }));
      acknowledged += first.cursor - 1 - before; // what was acknowledged or pruned before is skipped
      await outbox.push(delivered(results));
      for (const { id } of results) awaited.delete(id);
      endIfDone();
    }
  }

  closing.addEventListener("abort", lookForRoom, { once: true });
  const close = () => closing.removeEventListener("abort", lookForRoom);

  return { receive, send, notice, skipped, close };
}

function accepted(seq: number, admitted: readonly Admitted[]): Response {
  const receipts = admitted.map(fromAdmitted);
  return { case: "accepted", value: { $typeName: "millpond.v1.ExchangeAccepted", seq, receipts } };
}

function delivered(results: readonly StoredResult[]): Response {
  const cursor = BigInt(results.at(-1)?.cursor ?? 0);
  return {
    case: "results",
    value: { $typeName: "millpond.v1.ExchangeResults", results: results.map(fromResult), cursor },
  };
}
