/** Jobs and streams as the behaviour suites use them. */
import { randomUUID } from "node:crypto";
import { fromJson, type JsonValue, type Message, type MessageInitShape, toJson } from "@bufbuild/protobuf";
import { WireType } from "@bufbuild/protobuf/wire";
import { ValueSchema } from "@bufbuild/protobuf/wkt";
import type { Job, JobSpecSchema, Receipt, Result } from "../../src/gen/millpond/v1/job_pb.ts";
import type {
  ExchangeOpenSchema,
  ExchangeRequestSchema,
  ExchangeResponse,
} from "../../src/gen/millpond/v1/worker_pool_pb.ts";
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

/** What makes a job wait for an hour. */
export const later = { start: { case: "delay", value: { seconds: 3_600n } } } as const satisfies JobInit;

/** The message with a field of this number, which the server does not know. */
export function withUnknown<M extends Message>(message: M, no: number): M {
  message.$unknown = [{ no, wireType: WireType.Varint, data: new Uint8Array([1]) }];
  return message;
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

/** A job once it is final, or in another way as the test waits for it to be. Waits for it with `WatchJob`. */
export async function whenFinal(
  client: PoolClient,
  jobId: string,
  isThere: (job: Job) => boolean = ({ result }) => result !== undefined,
): Promise<Job> {
  const hangUp = new AbortController();
  try {
    for await (const { update } of client.watchJob({ jobId }, { signal: hangUp.signal })) {
      if (update.case === "job" && isThere(update.value)) return update.value;
    }
  } finally {
    hangUp.abort(); // leaving the loop alone would keep the call open
  }
  throw new Error(`job ${jobId} is final and not as the test expects it`);
}

type RequestInit = MessageInitShape<typeof ExchangeRequestSchema>;
type Case = ExchangeResponse["response"]["case"];
type Of<C extends Case> = Extract<ExchangeResponse["response"], { case: C }>["value"];

export type ExchangeStream = {
  send(request: NonNullable<RequestInit["request"]>): void;
  submit(seq: number, jobs: JobInit[], traceparent?: string): void;
  ack(cursor: bigint): void;
  /** No more requests. */
  end(): void;
  /** The next answer of this kind; those of other kinds that come before it wait for their own `next`. */
  next<C extends Exclude<Case, undefined>>(kind: C): Promise<NonNullable<Of<C>>>;
  /** The next `count` results or more; they may come in several answers. */
  results(count: number): Promise<Result[]>;
  /** How many answers of this kind have come and wait for their `next`. */
  waiting(kind: Exclude<Case, undefined>): number;
  /** Returns once the server has taken every request before it, and the store what those asked of it. */
  caughtUp(): Promise<void>;
  /** Everything that still comes, until the server ends the stream. Rejects with its error. */
  rest(): Promise<ExchangeResponse["response"][]>;
  /** Hangs up. */
  cut(): void;
};

/** Marks the submits of `caughtUp`. */
const caughtUpSeq = 4_000_000_000;

/** Opens an Exchange stream. Without `open` nothing is sent yet. */
export function exchange(client: PoolClient, open?: MessageInitShape<typeof ExchangeOpenSchema>): ExchangeStream {
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
  // read from the start: the client loses a response that has ended before anybody looks at it
  let first: Promise<IteratorResult<ExchangeResponse, unknown>> | undefined = responses.next();
  first.catch(() => undefined); // whoever reads gets it
  const read = () => {
    const answer = first ?? responses.next();
    first = undefined;
    return answer;
  };
  const kept: ExchangeResponse["response"][] = [];
  /** Takes the first answer kept that fits, waiting for more until there is one. */
  const take = async (fits: (answer: ExchangeResponse["response"]) => boolean, what: string) => {
    for (;;) {
      const index = kept.findIndex(fits);
      if (index >= 0) return kept.splice(index, 1)[0];
      const next = await read();
      if (next.done) throw new Error(`the stream ended before ${what} came`);
      kept.push(next.value.response);
    }
  };
  const put = (request: RequestInit) => {
    waiting.push(request);
    wake();
  };
  if (open) put({ request: { case: "open", value: open } });

  const stream: ExchangeStream = {
    send: (request) => put({ request }),
    submit: (seq, jobs, traceparent = "") => put({ request: { case: "submit", value: { seq, jobs, traceparent } } }),
    ack: (cursor) => put({ request: { case: "ack", value: { cursor } } }),
    end() {
      hasEnded = true;
      wake();
    },
    next: async (kind) => (await take((answer) => answer.case === kind, `"${kind}"`))?.value as never,
    async results(count) {
      const found: Result[] = [];
      while (found.length < count) found.push(...(await stream.next("results")).results);
      return found;
    },
    waiting: (kind) => kept.filter(({ case: each }) => each === kind).length,
    async caughtUp() {
      stream.submit(caughtUpSeq, [echo("caught up", { channel: newChannel() })]);
      await take((answer) => answer.case === "accepted" && answer.value.seq === caughtUpSeq, "the receipt");
    },
    async rest() {
      for (let next = await read(); !next.done; next = await read()) kept.push(next.value.response);
      return kept.splice(0);
    },
    cut: () => controller.abort(),
  };
  return stream;
}
