/** Both directions of an open stream: requests are read and answered, results are sent, each slowed by the other side. */
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
  /** Submits are read while fewer jobs than this are pending. */
  readonly maxPending: number;
  /** Aborts when the connections are about to be closed. */
  readonly closing: AbortSignal;
};

export type Stream = {
  /** Reads requests until the client half-closes. */
  receive(requests: AsyncIterator<ExchangeRequest>): Promise<void>;
  /** Sends results as they come, until the client wants no more. */
  send(): Promise<void>;
  /** Results were skipped: another reader has acknowledged them already. */
  skipped(): void;
  close(): void;
};

/** Submits and cancels of one stream that were not answered yet; beyond it the stream is not read. */
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

  /** Takes up a request that has an answer of its own, and lets the stream be read on meanwhile. */
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
      unacked.wake(); // what the client acknowledges is behind this submit and cannot be read: its results must go out
      await pending.fewer();
    }
    const { seq } = request;
    const admitted = submits.submit(request); // here, so that nothing holds the request while it is under way
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
          throw refusal("protocol_violation", ["`open` came twice on one stream"]);
        default:
          throw refusal("malformed_request", ["it is empty, or of a newer version of the protocol"]);
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

  /** Resolves with false at the end. The results are not held while the client takes them. */
  async function sendNext(): Promise<boolean> {
    // who has half-closed or is not read can acknowledge nothing: then only flow control holds the results back
    const room = isHalfClosed || isFull() ? maxBatch : unacked.room(reader.cursor());
    if (room <= 0 && !closing.aborted) {
      acks.hurry();
      return unacked.roomCame().then(() => true);
    }
    const before = reader.cursor();
    const results = room > 0 ? await reader.next(Math.min(room, maxBatch)) : [];
    const first = results[0];
    if (!first) return false;
    // what is missing was acknowledged or pruned before
    if (first.cursor > before + 1) unacked.acknowledged(first.cursor - 1);
    const readAt = clock.exactNow();
    for (const piece of piecesOf(results, maxValues)) {
      const passedOn = outbox.push(delivered(piece));
      pending.sent(piece);
      endIfDone();
      await passedOn;
      tracing.delivered(piece, readAt);
    }
    reader.passedOn(); // the client may take any time before it acknowledges and wants more
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
      // only who has half-closed waits for the end, so only then it is worth asking the store
      if (isHalfClosed) pending.forgetSkipped().then(endIfDone, outbox.fail);
    },
    close() {
      closing.removeEventListener("abort", hurry);
      acks.hurry();
    },
  };
}
