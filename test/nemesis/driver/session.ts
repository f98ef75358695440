/**
 * One client on one channel: keeps an exchange stream open, submits jobs on it, reads and acknowledges results, and
 * comes back whenever the stream breaks, as a careful client would: what was not answered is sent again under its id.
 */
import { create } from "@bufbuild/protobuf";
import { durationMs } from "@bufbuild/protobuf/wkt";
import { type Receipt, type Result } from "../../../src/gen/millpond/v1/job_pb.ts";
import {
  AckResultsRequestSchema,
  type ExchangeResponse,
  ExchangeAckSchema,
  ExchangeOpenSchema,
  ExchangeSubmitSchema,
  WorkerPoolService,
} from "../../../src/gen/millpond/v1/worker_pool_pb.ts";
import { type EventLog, now } from "../history/log.ts";
import type { Random } from "../random.ts";
import { createCanceller } from "./cancel.ts";
import type { Planned } from "./intents.ts";
import { outputOf, stateOf } from "./result.ts";
import type { Exchange, Wire } from "./wire.ts";

export type SessionOptions = {
  readonly client: string;
  readonly channel: string;
  readonly wire: Wire;
  readonly log: EventLog;
  readonly random: Random;
  /** The next job, or undefined while there is none. */
  readonly nextJob: () => Planned | undefined;
  /** Jobs that may be under way at once. */
  readonly inFlight: number;
  /** Share of the moments with new results at which they are acknowledged. */
  readonly ackShare: number;
  /** A job came to its end. */
  readonly onDone: () => void;
};

export type Session = {
  /** Looks whether there are jobs to submit. */
  pump(): void;
  /** Submits this job before all others. */
  submit(planned: Planned): void;
  /** Jobs that are under way. */
  waiting(): number;
  /** The highest position that came. */
  delivered(): number;
  /** Ends the stream and opens no other; resolves when its last acknowledgement was answered, too. */
  close(): Promise<void>;
};

type Sent = { readonly planned: Planned; isAccepted: boolean; notBefore: number };

const perMessage = 50;
const reconnectMs = 50;
const ackTimeoutMs = 10_000;

export function openSession(options: SessionOptions): Session {
  const { client, channel, wire, log, random, nextJob, inFlight, ackShare, onDone } = options;
  const about = () => ({ at: now(), client, channel });
  const jobs = new Map<string, Sent>();
  const canceller = createCanceller({ client, wire, log, random });
  /** What waits to be sent, new or once more. */
  let outbound: Sent[] = [];
  let delivered = 0;
  let acked = 0;
  let acking: Promise<void> | undefined;
  let streams = 0;
  let isClosed = false;
  let live: { readonly stream: Exchange; readonly name: string; isOpen: boolean; isFull: boolean } | undefined;
  const submitted = new Map<number, readonly Sent[]>();
  let seq = 0;

  function connect(): void {
    if (isClosed) return;
    const name = `${client}/${channel}#${++streams}`;
    // sometimes from where it was, sometimes from as far back as may be: both must give the same
    const after = random.isLucky(0.5) ? delivered : acked;
    log.write({ ...about(), kind: "open", stream: name, after });
    submitted.clear();
    outbound = [...jobs.values()].filter(({ isAccepted }) => !isAccepted);
    const stream = wire.exchange({
      onResponse: (response) => onResponse(response, name),
      onDrain: () => {
        if (live) live.isFull = false;
        pump();
      },
      onEnd: (failure) => {
        log.write({ ...about(), kind: "closed", stream: name, reason: failure?.reason ?? "ended" });
        live = undefined;
        if (!isClosed) setTimeout(connect, reconnectMs);
      },
    });
    live = { stream, name, isOpen: false, isFull: false };
    const open = create(ExchangeOpenSchema, { channel, afterCursor: BigInt(after), maxUnacked: 10_000 });
    stream.send({ case: "open", value: open });
  }

  function onResponse(response: ExchangeResponse["response"], stream: string): void {
    switch (response.case) {
      case "opened":
        if (live) live.isOpen = true;
        return pump();
      case "accepted":
        submitted.get(response.value.seq)?.forEach((sent, index) => onReceipt(sent, response.value.receipts[index]));
        submitted.delete(response.value.seq);
        return pump();
      case "results":
        for (const result of response.value.results) onResult(result, stream);
        maybeAck();
        return pump();
    }
  }

  function onReceipt(sent: Sent, receipt: Receipt | undefined): void {
    const { id } = sent.planned.intent;
    if (receipt?.receipt.case === "refusal") {
      const { reason, retryAfter } = receipt.receipt.value;
      log.write({ at: now(), client, kind: "refused", id, reason });
      if (!retryAfter) return done(id);
      sent.notBefore = now() + durationMs(retryAfter);
      outbound.push(sent);
      setTimeout(pump, durationMs(retryAfter));
      return undefined;
    }
    const as = receipt?.receipt.value;
    if (as === undefined) return undefined;
    log.write({ at: now(), client, kind: "accepted", id, as });
    sent.isAccepted = true;
    if (as !== id) return done(id); // its key is another job's, which has its own result
    if (sent.planned.isToCancel) canceller.cancelSoon(id);
    return undefined;
  }

  function onResult(result: Result, stream: string): void {
    const { cursor, jobId: id, state, attempts, redrives, failure } = result;
    const { sha256, run } = outputOf(result);
    delivered = Math.max(delivered, Number(cursor));
    log.write({
      ...about(),
      ...{ kind: "result", stream, cursor: Number(cursor), id, state: stateOf(state), attempts, redrives },
      ...{ sha256, run, reason: failure?.reason ?? null },
    });
    done(id);
  }

  function done(id: string): void {
    if (jobs.delete(id)) onDone();
  }

  /** Some results are acknowledged at once, the others later; by the stream or by a call, which is answered. */
  function maybeAck(): void {
    if (delivered === acked || !random.isLucky(ackShare)) return;
    const cursor = delivered;
    if (random.isLucky(0.7) && live && !live.isFull) {
      log.write({ ...about(), kind: "ack", cursor });
      live.isFull = !live.stream.send({ case: "ack", value: create(ExchangeAckSchema, { cursor: BigInt(cursor) }) });
    } else if (!acking) {
      acking = ackByCall(cursor).finally(() => {
        acking = undefined;
      });
    }
  }

  async function ackByCall(cursor: number): Promise<void> {
    log.write({ ...about(), kind: "ack", cursor });
    const request = create(AckResultsRequestSchema, { channel, cursor: BigInt(cursor) });
    try {
      const answer = await wire.unary(WorkerPoolService.method.ackResults, request, ackTimeoutMs);
      acked = Math.max(acked, Number(answer.cursor));
      log.write({ ...about(), kind: "acked", cursor: Number(answer.cursor) });
    } catch {
      // not answered: it may have counted or not, and a later one will
    }
  }

  function begin(planned: Planned): Sent {
    const sent = { planned, isAccepted: false, notBefore: 0 };
    jobs.set(planned.intent.id, sent);
    log.write({ at: now(), client, kind: "submit", job: planned.intent });
    return sent;
  }

  function pump(): void {
    while (live?.isOpen && !live.isFull) {
      const at = now();
      const due = outbound.filter(({ notBefore }) => notBefore <= at).slice(0, perMessage);
      if (due.length > 0) {
        const taken = new Set(due);
        outbound = outbound.filter((sent) => !taken.has(sent));
        for (const { planned } of due) log.write({ at, client, kind: "again", id: planned.intent.id });
      }
      while (due.length < perMessage && jobs.size < inFlight) {
        const planned = nextJob();
        if (!planned) break;
        due.push(begin(planned));
      }
      if (due.length === 0) return;
      submitted.set(seq, due);
      const value = create(ExchangeSubmitSchema, { seq: seq++, jobs: due.map(({ planned }) => planned.spec) });
      live.isFull = !live.stream.send({ case: "submit", value });
    }
  }

  connect();
  return {
    pump,
    submit: (planned) => {
      outbound.unshift(begin(planned));
      pump();
    },
    waiting: () => jobs.size,
    delivered: () => delivered,
    close: async () => {
      isClosed = true;
      live?.stream.cancel();
      await acking;
    },
  };
}
