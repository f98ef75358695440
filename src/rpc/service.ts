/** The service without a transport: the same functions behind every front end. */
import { create, type DescFile } from "@bufbuild/protobuf";
import { FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";
import { type Clock, pause } from "../clock.ts";
import { type Admission, type Admitted, drainingRetryMs } from "../engine/admission.ts";
import { defaultChannel } from "../engine/draft.ts";
import type { ResultReaders } from "../engine/results.ts";
import { maxBatch } from "../engine/results.ts";
import type { MillpondError } from "../errors.ts";
import { invalid, refusal } from "../errors.ts";
import type {
  AckResultsRequest,
  AckResultsResponse,
  ExchangeRequest,
  ExchangeResponse,
  GetJobRequest,
  GetJobResponse,
  ListJobsRequest,
  ListJobsResponse,
  ListTasksRequest,
  ListTasksResponse,
  ResultsRequest,
  ResultsResponse,
  StatsRequest,
  StatsResponse,
  SubmitRequest,
  SubmitResponse,
  WatchStatsRequest,
  WatchStatsResponse,
} from "../gen/millpond/v1/worker_pool_pb.ts";
import {
  AckResultsResponseSchema,
  GetJobResponseSchema,
  ListTasksResponseSchema,
  ResultsResponseSchema,
  StatsResponseSchema,
  SubmitResponseSchema,
  WatchStatsResponseSchema,
} from "../gen/millpond/v1/worker_pool_pb.ts";
import type { StoredJob } from "../job/job.ts";
import type { Tasks } from "../pool/tasks.ts";
import type { Store } from "../store/store.ts";
import type { Tracing } from "../telemetry/instruments.ts";
import type { CallContext } from "./call.ts";
import { fromAdmitted, fromJob, fromResult, toChannel, toDraft } from "./convert.ts";
import { exchange, type ExchangeParts } from "./exchange.ts";
import { listJobs } from "./list-jobs.ts";
import { createOutbox } from "./outbox.ts";
import { type SnapshotParts, takeSnapshot } from "./snapshot.ts";

type Unary<Req, Res> = (request: Req, call: CallContext) => Promise<Res>;
type ServerStream<Req, Res> = (request: Req, call: CallContext) => AsyncIterable<Res>;
type BidiStream<Req, Res> = (requests: AsyncIterable<Req>, call: CallContext) => AsyncIterable<Res>;

/** One function for each RPC of `millpond.v1.WorkerPoolService`. Whatever they throw is for `toMillpondError`. */
export type Service = {
  readonly submit: Unary<SubmitRequest, SubmitResponse>;
  readonly exchange: BidiStream<ExchangeRequest, ExchangeResponse>;
  readonly results: ServerStream<ResultsRequest, ResultsResponse>;
  readonly ackResults: Unary<AckResultsRequest, AckResultsResponse>;
  readonly getJob: Unary<GetJobRequest, GetJobResponse>;
  readonly listJobs: Unary<ListJobsRequest, ListJobsResponse>;
  readonly stats: Unary<StatsRequest, StatsResponse>;
  readonly watchStats: ServerStream<WatchStatsRequest, WatchStatsResponse>;
  readonly listTasks: Unary<ListTasksRequest, ListTasksResponse>;
};

export type ServiceParts = ExchangeParts &
  SnapshotParts & {
    readonly admission: Admission;
    readonly readers: ResultReaders;
    readonly store: Pick<Store, "get" | "list" | "ack" | "counts" | "oldestDue">;
    readonly tracing: Tracing;
    readonly clock: Clock;
    readonly tasks: Tasks;
  };

const defaultIntervalMs = 1_000;
const minIntervalMs = 100;
const maxIntervalMs = 60_000;

export function createService(parts: ServiceParts): Service {
  const { admission, readers, store, tracing, clock, tasks } = parts;
  const progressOf = ({ pool, seq }: StoredJob) =>
    parts.pools.find((each) => each.pool.name === pool)?.pool.progressOf(seq);

  return {
    async submit({ jobs }, call) {
      const span = tracing.submit(call.trace, call.client);
      try {
        const drafts = jobs.map((spec) => toDraft(spec, defaultChannel));
        const admitted = await admission.admit(call.client, drafts, span.trace);
        const refused = admitted.filter((each) => each.kind === "refused");
        if (refused.length === admitted.length) throw firstRefusal(admitted);
        span.end({ accepted: admitted.length - refused.length, refused: refused.length });
        return create(SubmitResponseSchema, { receipts: admitted.map(fromAdmitted) });
      } catch (error) {
        span.end({ error: String(error) });
        throw error;
      }
    },

    exchange: (requests, call) => exchange(parts, requests, call),

    async *results({ channel, afterCursor, stopAtEnd }, call) {
      const from = { channel: toChannel(channel), afterCursor: Number(afterCursor), stopAtEnd };
      const reader = await readers.open({ client: call.client, ...from });
      const { slowReaderMs } = parts.limits;
      const outbox = createOutbox<ResultsResponse>({
        clock,
        signal: call.signal,
        stallMs: slowReaderMs,
        stalled: () => refusal("slow_consumer", [slowReaderMs, reader.cursor()]),
        onClose: () => reader.close(),
      });
      const send = async () => {
        for (let results = await reader.next(maxBatch); results.length > 0; results = await reader.next(maxBatch)) {
          const cursor = BigInt(reader.cursor());
          await outbox.push(create(ResultsResponseSchema, { results: results.map(fromResult), cursor }));
        }
        outbox.end(stopAtEnd ? undefined : refusal("draining", [], { retryAfterMs: drainingRetryMs }));
      };
      send().catch(outbox.fail);
      yield* outbox;
    },

    async ackResults(request, call) {
      const channel = toChannel(request.channel);
      const cursor = Number(request.cursor);
      const [answer] = await store.ack([{ client: call.client, channel, cursor }]);
      if (answer?.kind === "out_of_range") {
        throw refusal("cursor_from_the_future", [cursor, channel, answer.lastCursor]);
      }
      return create(AckResultsResponseSchema, { cursor: BigInt(answer?.cursor ?? 0) });
    },

    async getJob({ jobId }, call) {
      const job = await store.get({ client: call.client, id: jobId.toLowerCase() });
      if (!job) throw refusal("job_not_found", [jobId.slice(0, 100)]);
      return create(GetJobResponseSchema, { job: fromJob(job, progressOf(job)) });
    },

    listJobs: (request, call) => {
      const { messageBytes } = parts.limits;
      return listJobs({ store, progressOf, messageBytes }, call.client, request);
    },

    async stats(_request, call) {
      return create(StatsResponseSchema, { snapshot: await takeSnapshot(parts, call.client) });
    },

    async *watchStats({ intervalMs }, call) {
      const everyMs = intervalMs || defaultIntervalMs;
      if (everyMs < minIntervalMs || everyMs > maxIntervalMs) {
        const description = `is ${everyMs} and must be ${minIntervalMs} to ${maxIntervalMs}`;
        throw invalid([{ field: "interval_ms", description }]);
      }
      const ended = AbortSignal.any([call.signal, parts.closing]);
      while (!ended.aborted) {
        yield create(WatchStatsResponseSchema, { snapshot: await takeSnapshot(parts, call.client) });
        await pause(clock, everyMs, ended);
      }
    },

    async listTasks() {
      return create(ListTasksResponseSchema, {
        tasks: [...tasks.values()].map(({ name, pool, retry, definition: { input, output, description } }) => ({
          name,
          pool,
          maxAttempts: retry.maxAttempts,
          inputType: input?.typeName ?? "",
          outputType: output?.typeName ?? "",
          description: description ?? "",
        })),
        descriptors: create(FileDescriptorSetSchema, { file: describedFiles(tasks) }),
      });
    },
  };
}

/** Field paths start at the request, whose first job this was. */
function firstRefusal(admitted: readonly Admitted[]): MillpondError {
  const first = admitted[0];
  if (first?.kind !== "refused") throw new Error("there is no refusal");
  const { error } = first;
  if (error.violations.length === 0) return error;
  return invalid(error.violations.map(({ field, description }) => ({ field: `jobs[0].${field}`, description })));
}

/** The files of all tasks' types, each once and after those it imports. */
function describedFiles(tasks: Tasks) {
  const files = new Map<string, DescFile>();
  const add = (file: DescFile) => {
    if (files.has(file.name)) return;
    for (const imported of file.dependencies) add(imported);
    files.set(file.name, file);
  };
  for (const { definition } of tasks.values()) {
    for (const type of [definition.input, definition.output]) if (type) add(type.file);
  }
  return [...files.values()].map((file) => file.proto);
}
