/**
 * Both directions of an open stream: reads and answers requests, and sends results. The client's flow control slows
 * down both.
 */
import type { Clock } from "../../clock.ts";
import { drainingRetryMs } from "../../engine/admit/admission.ts";
import type { Canceller } from "../../engine/act/cancel.ts";
import { maxBatch, type ResultReader } from "../../engine/deliver/result-readers.ts";
import { refusal } from "../../errors.ts";
import type {
  ExchangeCancel,
  ExchangeRequest,
  ExchangeResponse,
  ExchangeSubmit,
} from "../../gen/millpond/v1/worker_pool_pb.ts";
import type { Tracing } from "../../tracing.ts";
import { cancelById } from "../cancel-jobs.ts";
import { toIds } from "../names.ts";
import type { Outbox } from "../outbox.ts";
import type { Acks, Unacked } from "./acks.ts";
import type { PendingResults } from "./pending-results.ts";
import { createChange } from "../change.ts";
import { accepted, cancelled, delivered } from "./responses.ts";
import type { Submits } from "./submits.ts";
import { piecesOf } from "../values.ts";

export type StreamParts = {
  readonly client: string;
  readonly reader: ResultReader;
  readonly outbox: Outbox<ExchangeResponse>;
  readonly submits: Submits;
  readonly acks: Acks;
  readonly pending: PendingResults;
  readonly unacked: Unacked;
  readonly canceller: Canceller;
  readonly tracing: Pick<Tracing, "delivered">;
  readonly clock: Pick<Clock, "exactNow">;
  /** Bound on the values of one response. */
  readonly maxValues: number;
  /** Submits are read only while fewer jobs than this are pending. */
  readonly maxPending: number;
  /** Aborts when the connections are about to be closed. */
  readonly closing: AbortSignal;
};

export type Stream = {
  /** Reads requests until the client half-closes. */
  receive(requests: AsyncIterator<ExchangeRequest>): Promise<void>;
  /** Sends results as they become available, until the end of the stream. */
  send(): Promise<void>;
  /** Results were skipped: another reader has acknowledged them already. */
  skipped(): void;
  close(): void;
};

/** Bound on the unanswered submits and cancels of one stream; at the bound the stream is not read. */
const maxUnderWay = 8;

export function createStream(parts: StreamParts): Stream {
  const { client, reader, outbox, submits, acks, pending, unacked, canceller, maxValues, maxPending, closing } = parts;
  const { tracing, clock } = parts;
  let underWay = 0;
  const answered = createChange();
  let isHalfClosed = false;

  const isFull = () => pending.size() >= maxPending;

  function endIfDone(): void {
    if (isHalfClosed && underWay === 0 && !acks.isUnderWay() && pending.size() === 0) outbox.end();
  }

  /** Starts a request that has an answer of its own; the stream is read further while it is in progress. */
  async function take(answer: () => Promise<ExchangeResponse>): Promise<void> {
    underWay += 1;
    const push = async () => {
      try {
        await outbox.push(await answer());
      } finally {
        underWay -= 1;
        answered.happened();
        endIfDone();
      }
    };
    push().catch(outbox.fail);
    while (underWay >= maxUnderWay) await answered.next();
  }

  async function submit(request: ExchangeSubmit): Promise<void> {
    while (isFull()) {
      unacked.wake(); // acknowledgements behind this submit cannot be read, so results must be sent without them
      await pending.fewer();
    }
    const { seq } = request;
    const admitted = submits.submit(request); // not inside the closure below, which would keep the request in memory
    await take(async () => accepted(seq, await admitted));
  }

  function cancel({ seq, jobIds }: ExchangeCancel): Promise<void> {
    const ids = toIds(jobIds, "cancel.job_ids");
    return take(async () => {
      await submits.stored(ids);
      return cancelled(seq, await cancelById(canceller, client, ids));
    });
  }

  async function receive(requests: AsyncIterator<ExchangeRequest>): Promise<void> {
    for (let next = await requests.next(); !next.done; next = await requests.next()) {
      const { request } = next.value;
      switch (request.case) {
        case "submit":
          await submit(request.value);
          break;
        case "ack":
          acks.ack(Number(request.value.cursor)).then(endIfDone, outbox.fail);
          break;
        case "cancel":
          await cancel(request.value);
          break;
        case "open":
          throw refusal("protocol_violation", ["`open` was sent twice on one stream"]);
        default:
          throw refusal("malformed_request", ["it is empty, or from a newer version of the protocol"]);
      }
    }
    isHalfClosed = true;
    hurry();
    await pending.forgetSkipped();
    endIfDone();
  }

  async function send(): Promise<void> {
    while (await sendNext());
    outbox.end(refusal("draining", [], { retryAfterMs: drainingRetryMs }));
  }

  /** Sends one batch. Resolves with false at the end. Does not keep the results in memory while the client reads them. */
  async function sendNext(): Promise<boolean> {
    // a client that has half-closed, or is not read, cannot acknowledge: then only flow control limits the results
    const room = isHalfClosed || isFull() ? maxBatch : unacked.room(reader.cursor());
    if (room <= 0 && !closing.aborted) {
      acks.hurry();
      return unacked.roomCame().then(() => true);
    }
    const before = reader.cursor();
    const results = room > 0 ? await reader.next(Math.min(room, maxBatch)) : [];
    const first = results[0];
    if (!first) return false;
    // the results in between were acknowledged or pruned
    if (first.cursor > before + 1) unacked.acknowledged(first.cursor - 1);
    const readAt = clock.exactNow();
    for (const piece of piecesOf(results, maxValues)) {
      const passedOn = outbox.push(delivered(piece));
      pending.sent(piece);
      endIfDone();
      await passedOn;
      tracing.delivered(piece, readAt);
    }
    reader.passedOn(); // releases the memory: it may be long until the client acknowledges
    return true;
  }

  const hurry = () => {
    acks.hurry();
    unacked.wake();
  };
  closing.addEventListener("abort", hurry, { once: true });
  return {
    receive,
    send,
    skipped() {
      pending.skipped();
      // only a half-closed stream waits for its end, so only then is the query worthwhile
      if (isHalfClosed) pending.forgetSkipped().then(endIfDone, outbox.fail);
    },
    close() {
      closing.removeEventListener("abort", hurry);
      acks.hurry();
    },
  };
}
