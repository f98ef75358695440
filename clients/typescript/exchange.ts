import { create, toBinary } from "@bufbuild/protobuf";
import type { JobSpec, Receipt, Result } from "../../src/gen/millpond/v1/job_pb.ts";
import { ReceiptSchema } from "../../src/gen/millpond/v1/job_pb.ts";
import type { ExchangeOpened, ExchangeRequest, ExchangeResponse } from "../../src/gen/millpond/v1/worker_pool_pb.ts";
import {
  ExchangeAckSchema,
  ExchangeCancelSchema,
  ExchangeNotice_Kind,
  ExchangeOpenSchema,
  ExchangeRequestSchema,
  ExchangeSubmitSchema,
} from "../../src/gen/millpond/v1/worker_pool_pb.ts";
import type { CancelAnswer } from "./cancel.ts";
import { toCancelAnswer } from "./cancel.ts";
import type { Clock } from "./clock.ts";
import { systemClock } from "./clock.ts";
import type { Connection } from "./connection.ts";
import { MillpondClientError } from "./error.ts";

/** Inputs of more than this together are split over several messages, so that one does not hold up the next for long. */
const targetMessageBytes = 1024 * 1024;

/** The bound on ids in one `cancel`. */
const maxCancelledIds = 1_000;

/** What an exchange takes: a job as job() makes it. Callers may hang more on it; they get it back with its receipt. */
export type ExchangeJob = { readonly spec: JobSpec; readonly sizeBytes: number; readonly values: number };

export type ExchangeOptions<J extends ExchangeJob> = {
  /** Default: `default`. */
  readonly channel?: string;
  /** Results after this position are sent. Default 0. */
  readonly afterCursor?: number;
  /** The server pauses while this many results are not acknowledged: 1 to 10000. Default 1000. */
  readonly maxUnacked?: number;
  /** How long the server may take to open the stream. Default 30,000. */
  readonly openTimeoutMs?: number;
  readonly clock?: Clock;
  /** Drops the stream, also while it opens. */
  readonly signal?: AbortSignal;
  /** The receipts of jobs that went together, in their order. */
  onAccepted(jobs: readonly J[], receipts: readonly Receipt[]): void;
  /** Results in the order of the channel; `cursor` is the last one's. */
  onResults(results: readonly Result[], cursor: number): void;
  /** What became of jobs that went with one `cancelJobs`, in their order, at most 1000 at a time. */
  onCancelled?(answers: readonly CancelAnswer[]): void;
  /** The server is about to stop: it refuses jobs, and results still come. */
  onDraining?(message: string): void;
  /** `submit` takes jobs again. */
  onDrain?(): void;
};

/** One exchange stream: arrays in, arrays out. It does not reconnect; map() is built on it and does. */
export type Exchange<J extends ExchangeJob> = {
  /**
   * Sends jobs, split into as many messages as the server's limits ask for. Returns how many of them it took: fewer
   * than given means that the stream is full (wait for `onDrain`) or has ended. A job that alone is too large for the
   * server comes back to `onAccepted` as refused with `message_too_large` or `too_many_values`.
   */
  submit(jobs: readonly J[]): number;
  /** Acknowledges everything up to this position. False: the stream is full or has ended, nothing was sent. */
  ack(cursor: number): boolean;
  /**
   * Cancels jobs of this client, in messages of at most 1000; `onCancelled` gets the answers. Returns how many of them it
   * took, as `submit` does.
   */
  cancelJobs(jobIds: readonly string[]): number;
  /** Says "no more jobs". The server sends the results still to come of this stream's jobs, then `closed` resolves. */
  end(): void;
  /** Drops the stream; `closed` rejects. Jobs that were accepted run on. */
  cancel(): void;
  /** Resolves when the server ended the stream with OK, rejects with a MillpondClientError otherwise. Nothing is called after that. */
  readonly closed: Promise<void>;
};

/** Opens an exchange stream and waits until the server has answered. Rejects with a MillpondClientError. */
export async function openExchange<J extends ExchangeJob>(
  connection: Connection,
  options: ExchangeOptions<J>,
): Promise<Exchange<J>> {
  const { clock = systemClock, openTimeoutMs = 30_000, signal } = options;
  signal?.throwIfAborted();
  const opened = Promise.withResolvers<ExchangeOpened>();
  const closed = Promise.withResolvers<void>();
  closed.promise.catch(() => undefined); // whoever waits for it sees the failure; waiting is optional
  const submitted = new Map<number, readonly J[]>();
  let seq = 0;
  let isFull = false;
  let isOver = false;
  let maxJobs = 1000;
  let maxBytes = 4 * 1024 * 1024;
  let maxValues = Number.POSITIVE_INFINITY;

  const stream = connection.exchange({
    onResponse: ({ response }: ExchangeResponse) => {
      if (isOver) return undefined;
      switch (response.case) {
        case "results":
          return options.onResults(response.value.results, Number(response.value.cursor));
        case "accepted": {
          const jobs = submitted.get(response.value.seq);
          submitted.delete(response.value.seq);
          return jobs && options.onAccepted(jobs, response.value.receipts);
        }
        case "opened":
          return opened.resolve(response.value);
        case "cancelled":
          return options.onCancelled?.(response.value.answers.map(toCancelAnswer));
        case "notice":
          if (response.value.kind !== ExchangeNotice_Kind.DRAINING) return undefined; // the stream slows down by itself
          return options.onDraining?.(response.value.message);
        default:
          return undefined; // from a newer server
      }
    },
    onDrain: () => {
      isFull = false;
      if (!isOver) options.onDrain?.();
    },
    onEnd: (error) => {
      isOver = true;
      signal?.removeEventListener("abort", cancel);
      opened.reject(error ?? endedEarly(connection.address));
      if (error === undefined) closed.resolve();
      else closed.reject(error);
    },
  });

  const cancel = () => {
    isOver = true;
    stream.cancel();
  };
  signal?.addEventListener("abort", cancel);

  const write = (bytes: Uint8Array) => {
    isFull = !stream.write(bytes);
  };

  const send = (jobs: readonly J[]): void => {
    const [only] = jobs;
    if (jobs.length === 1 && only?.spec.input?.content.case === "json" && only.values > maxValues)
      return answer(jobs, tooManyValues(only.values, maxValues));
    const bytes = encode({ case: "submit", value: create(ExchangeSubmitSchema, { seq, jobs: jobs.map(specOf) }) });
    if (bytes.length <= maxBytes) {
      submitted.set(seq++, jobs);
      write(bytes);
    } else if (jobs.length > 1) {
      send(jobs.slice(0, jobs.length >> 1));
      send(jobs.slice(jobs.length >> 1));
    } else {
      answer(jobs, tooLarge(bytes.length, maxBytes));
    }
  };

  /** What is not even sent. */
  const answer = (jobs: readonly J[], receipt: Receipt): void => {
    queueMicrotask(() => isOver || options.onAccepted(jobs, [receipt]));
  };

  write(
    encode({
      case: "open",
      value: create(ExchangeOpenSchema, {
        channel: options.channel ?? "",
        afterCursor: BigInt(options.afterCursor ?? 0),
        maxUnacked: options.maxUnacked ?? 0,
      }),
    }),
  );
  const cancelTimeout = clock.after(openTimeoutMs, () => {
    opened.reject(openTimedOut(connection.address, openTimeoutMs));
    cancel();
  });
  try {
    const { maxJobsPerSubmit, maxMessageBytes, ...server } = await opened.promise;
    maxJobs = maxJobsPerSubmit || maxJobs;
    maxBytes = maxMessageBytes || maxBytes;
    maxValues = server.maxValues || maxValues;
  } finally {
    cancelTimeout();
  }

  return {
    submit: (jobs) => {
      let taken = 0;
      while (taken < jobs.length && !isFull && !isOver) {
        const end = endOfBatch(jobs, taken, { maxJobs, maxValues, maxBytes: Math.min(targetMessageBytes, maxBytes) });
        send(jobs.slice(taken, end));
        taken = end;
      }
      return taken;
    },
    ack: (cursor) => {
      if (isFull || isOver) return false;
      write(encode({ case: "ack", value: create(ExchangeAckSchema, { cursor: BigInt(cursor) }) }));
      return true;
    },
    cancelJobs: (jobIds) => {
      let taken = 0;
      while (taken < jobIds.length && !isFull && !isOver) {
        const some = jobIds.slice(taken, taken + maxCancelledIds);
        write(encode({ case: "cancel", value: create(ExchangeCancelSchema, { seq: seq++, jobIds: some }) }));
        taken += some.length;
      }
      return taken;
    },
    end: () => stream.end(),
    cancel,
    closed: closed.promise,
  };
}

function encode(request: ExchangeRequest["request"]): Uint8Array {
  return toBinary(ExchangeRequestSchema, create(ExchangeRequestSchema, { request }));
}

type BatchBounds = { readonly maxJobs: number; readonly maxBytes: number; readonly maxValues: number };

/** Where the next message ends: at most `maxJobs` jobs, `maxValues` and about `maxBytes` of inputs, but one job at least. */
function endOfBatch(jobs: readonly ExchangeJob[], start: number, bounds: BatchBounds): number {
  const last = Math.min(jobs.length, start + bounds.maxJobs);
  let bytes = 0;
  let values = 0;
  for (let end = start; end < last; end++) {
    bytes += jobs[end]?.sizeBytes ?? 0;
    values += jobs[end]?.values ?? 0;
    if (bytes > bounds.maxBytes || values > bounds.maxValues) return Math.max(end, start + 1);
  }
  return last;
}

function specOf({ spec }: ExchangeJob): JobSpec {
  return spec;
}

function tooManyValues(values: number, limit: number): Receipt {
  const message = `the job has ${values} values and the limit is ${limit}: send long lists as bytes, or raise limits.values`;
  return create(ReceiptSchema, { receipt: { case: "refusal", value: { reason: "too_many_values", message } } });
}

function tooLarge(size: number, limit: number): Receipt {
  const message = `the message has ${size} bytes and the limit is ${limit}: send a smaller input, or raise limits.messageBytes`;
  return create(ReceiptSchema, { receipt: { case: "refusal", value: { reason: "message_too_large", message } } });
}

function endedEarly(address: string): MillpondClientError {
  const message = `${address} ended the stream before it was done`;
  return new MillpondClientError({ reason: "connection_lost", codeName: "UNAVAILABLE", message });
}

function openTimedOut(address: string, timeoutMs: number): MillpondClientError {
  const message = `${address} did not open the stream within ${timeoutMs} ms: check that a Millpond server runs there`;
  return new MillpondClientError({ reason: "unreachable", codeName: "UNAVAILABLE", message });
}
