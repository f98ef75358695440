/** Jobs and streams as the behaviour suites use them. */
import { randomUUID } from "node:crypto";
import { fromJson, type JsonValue, type MessageInitShape, toJson } from "@bufbuild/protobuf";
import { ValueSchema } from "@bufbuild/protobuf/wkt";
import type { JobSpecSchema, Receipt, Result } from "../../src/gen/millpond/v1/job_pb.ts";
import type { ExchangeRequestSchema, ExchangeResponse } from "../../src/gen/millpond/v1/worker_pool_pb.ts";
import type { PoolClient } from "./fixtures.ts";

export type JobInit = Omit<MessageInitShape<typeof JobSpecSchema>, "$typeName">;
export type Input = NonNullable<JobInit["input"]>;

/** Input or output that is JSON. */
export function json(value: JsonValue): Input {
  return { content: { case: "json", value: fromJson(ValueSchema, value) } };
}

export function data(bytes: Uint8Array): Input {
  return { content: { case: "data", value: bytes } };
}

/** A job of task `echo` that gives `value` back. */
export function echo(value: JsonValue, more: JobInit = {}): JobInit {
  return { task: "echo", input: json(value), ...more };
}

/** A name that no other test uses. */
export function newChannel(): string {
  return `channel-${randomUUID()}`;
}

/** The JSON that a result carries. */
export function outputOf({ output }: Result): JsonValue | undefined {
  return output?.content.case === "json" ? toJson(ValueSchema, output.content.value) : undefined;
}

/** What became of each job, in a form that is easy to compare: `accepted`, `duplicate`, or the reason of the refusal. */
export function fates(receipts: readonly Receipt[]): string[] {
  return receipts.map(({ receipt }) => {
    if (receipt.case === "refusal") return receipt.value.reason;
    return receipt.case === "jobId" ? "accepted" : "duplicate";
  });
}

/** The ids in receipts of jobs that were accepted, now or before. */
export function idsOf(receipts: readonly Receipt[]): string[] {
  return receipts.flatMap(({ receipt }) => (receipt.case === "refusal" || !receipt.case ? [] : [receipt.value]));
}

export type From = { readonly channel: string; readonly afterCursor?: bigint };

/** Follows a channel until `count` results have come, and hangs up. */
export async function follow(client: PoolClient, from: From, count: number): Promise<Result[]> {
  const found: Result[] = [];
  const hangUp = new AbortController();
  try {
    for await (const { results } of client.results(from, { signal: hangUp.signal })) {
      found.push(...results);
      if (found.length >= count) break;
    }
  } finally {
    hangUp.abort(); // leaving the loop alone would keep the call open
  }
  return found;
}

/** The results that a channel holds now. */
export async function present(client: PoolClient, from: From): Promise<Result[]> {
  const found: Result[] = [];
  for await (const { results } of client.results({ ...from, stopAtEnd: true })) found.push(...results);
  return found;
}

type RequestInit = MessageInitShape<typeof ExchangeRequestSchema>;
type Case = ExchangeResponse["response"]["case"];
type Of<C extends Case> = Extract<ExchangeResponse["response"], { case: C }>["value"];

export type ExchangeStream = {
  send(request: NonNullable<RequestInit["request"]>): void;
  submit(seq: number, jobs: JobInit[]): void;
  ack(cursor: bigint): void;
  /** No more requests. */
  end(): void;
  /** The next answer of this kind; those of other kinds that come before it wait for their own `next`. */
  next<C extends Exclude<Case, undefined>>(kind: C): Promise<NonNullable<Of<C>>>;
  /** The next `count` results or more; they may come in several answers. */
  results(count: number): Promise<Result[]>;
  /** Everything that still comes, until the server ends the stream. Rejects with its error. */
  rest(): Promise<ExchangeResponse["response"][]>;
  /** Hangs up. */
  cut(): void;
};

/** Opens an Exchange stream. Without `open` nothing is sent yet. */
export function exchange(
  client: PoolClient,
  open?: MessageInitShape<typeof ExchangeRequestSchema> | From,
): ExchangeStream {
  const waiting: RequestInit[] = [];
  let hasEnded = false;
  let wake = () => {};
  const controller = new AbortController();

  async function* requests(): AsyncGenerator<RequestInit> {
    for (;;) {
      const next = waiting.shift();
      if (next) yield next;
      else if (hasEnded) return;
      else {
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
    }
  }

  const responses = client.exchange(requests(), { signal: controller.signal })[Symbol.asyncIterator]();
  const kept: ExchangeResponse["response"][] = [];
  const put = (request: RequestInit) => {
    waiting.push(request);
    wake();
  };
  if (open) put({ request: { case: "open", value: open as From } });

  const stream: ExchangeStream = {
    send: (request) => put({ request }),
    submit: (seq, jobs) => put({ request: { case: "submit", value: { seq, jobs } } }),
    ack: (cursor) => put({ request: { case: "ack", value: { cursor } } }),
    end() {
      hasEnded = true;
      wake();
    },
    async next(kind) {
      for (;;) {
        const index = kept.findIndex(({ case: each }) => each === kind);
        if (index >= 0) return kept.splice(index, 1)[0]?.value as never;
        const { value, done } = await responses.next();
        if (done) throw new Error(`the stream ended before "${kind}" came`);
        kept.push(value.response);
      }
    },
    async results(count) {
      const found: Result[] = [];
      while (found.length < count) found.push(...(await stream.next("results")).results);
      return found;
    },
    async rest() {
      for (let next = await responses.next(); !next.done; next = await responses.next()) kept.push(next.value.response);
      return kept.splice(0);
    },
    cut: () => controller.abort(),
  };
  return stream;
}
