/** A server that keeps jobs in memory, answers each with its own input, and misbehaves when it is told to. */
import { create, type DescService, fromBinary, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import {
  type handleUnaryCall,
  type Metadata,
  Server,
  ServerCredentials,
  type ServerDuplexStream,
  type ServerUnaryCall,
  type ServerWritableStream,
  type ServiceDefinition,
  type UntypedServiceImplementation,
} from "@grpc/grpc-js";
import { AdminService } from "../../../src/gen/millpond/v1/admin_pb.ts";
import {
  type JobSpec,
  JobState,
  type ReceiptSchema,
  type Result,
  ResultSchema,
} from "../../../src/gen/millpond/v1/job_pb.ts";
import {
  type AckResultsRequest,
  type ExchangeNoticeSchema,
  type ExchangeOpen,
  type ExchangeRequest,
  type ExchangeResponse,
  ExchangeResponseSchema,
  type ResultsRequest,
  type ResultsResponse,
  ResultsResponseSchema,
  type SubmitRequest,
  type WatchJobRequest,
  type WatchJobResponse,
  WatchJobResponseSchema,
  type WatchStatsRequest,
  type WatchStatsResponse,
  WatchStatsResponseSchema,
  WorkerPoolService,
} from "../../../src/gen/millpond/v1/worker_pool_pb.ts";

/** One call that watches a job, to be answered by the test. */
export type FakeWatch = {
  readonly request: WatchJobRequest;
  send(...updates: MessageInitShape<typeof WatchJobResponseSchema>[]): void;
  /** Ends the stream with this status; 0: OK. */
  end(code: number): void;
};
export type Receipt = MessageInitShape<typeof ReceiptSchema>;
type Stream = ServerDuplexStream<ExchangeRequest, ExchangeResponse>;
type Unary = (request: never, call: ServerUnaryCall<never, unknown>) => unknown;

/** What a test may change at any time. */
export type Behaviour = {
  /** A receipt other than "accepted", or null to say nothing at all; undefined: the job is taken as usual. */
  receipt: (spec: JobSpec, times: number) => Receipt | null | undefined;
  /** Whether a job becomes final at once; false: when `server.complete(id)` says so. */
  completes: (spec: JobSpec) => boolean;
  /** Called for each message of a client on an exchange, before it is looked at. True: it is ignored. */
  onRequest: (request: ExchangeRequest["request"]) => boolean;
  onUnary: { [method: string]: Unary };
  maxJobsPerSubmit: number;
  maxMessageBytes: number;
  /** 0: it names none, as older servers do. */
  maxValues: number;
};

export type FakeServer = Awaited<ReturnType<typeof startFakeServer>>;

export async function startFakeServer(change: Partial<Behaviour> = {}) {
  const behaviour: Behaviour = {
    receipt: () => undefined,
    completes: () => true,
    onRequest: () => false,
    onUnary: {},
    maxJobsPerSubmit: 100,
    maxMessageBytes: 1024 * 1024,
    maxValues: 0,
    ...change,
  };
  const jobs = new Map<string, JobSpec>();
  const final = new Set<string>();
  const submitted = new Map<string, number>();
  const channels = new Map<string, Result[]>();
  const acked = new Map<string, number>();
  const streams = new Set<{
    send: () => void;
    fail: (code: number) => void;
    pauseUntil: (reading: Promise<void>) => void;
    notice?: (notice: MessageInitShape<typeof ExchangeNoticeSchema>) => void;
  }>();
  const intervals: number[] = [];
  const watches: FakeWatch[] = [];
  const cancelled: string[] = [];
  const opens: ExchangeOpen[] = [];
  const batches: number[] = [];
  const metadata: Metadata[] = [];
  let stops: (() => void)[] = [];

  const resultsOf = (channel: string) => {
    const results = channels.get(channel) ?? [];
    channels.set(channel, results);
    return results;
  };
  const complete = (id: string) => {
    const spec = jobs.get(id);
    if (spec === undefined) throw new Error(`no job ${id}`);
    if (final.has(id)) return;
    final.add(id);
    const results = resultsOf(spec.channel);
    results.push(
      create(ResultSchema, {
        cursor: BigInt(results.length + 1),
        jobId: id,
        task: spec.task,
        state: JobState.SUCCEEDED,
        ...(spec.input && { output: spec.input }),
        attempts: 1,
        submittedAt: timestampFromMs(1_000),
        startedAt: timestampFromMs(1_010),
        finishedAt: timestampFromMs(1_030),
      }),
    );
  };
  const take = (spec: JobSpec): Receipt | null => {
    const times = (submitted.get(spec.id) ?? 0) + 1;
    submitted.set(spec.id, times);
    const other = behaviour.receipt(spec, times);
    if (other?.receipt?.case === "refusal") return other;
    const isNew = !jobs.has(spec.id);
    jobs.set(spec.id, spec);
    if (isNew && behaviour.completes(spec)) complete(spec.id);
    if (other === null) return null;
    return { receipt: { case: isNew ? "jobId" : "duplicateOf", value: spec.id } };
  };
  const sendAll = () => {
    for (const { send } of streams) send();
  };
  const waitForStop = () => {
    for (const stop of stops) stop();
    stops = [];
  };

  const exchange = (call: Stream) => {
    metadata.push(call.metadata);
    let channel = "";
    let sent = 0;
    let maxUnacked = 1000;
    const reply = (response: NonNullable<MessageInitShape<typeof ExchangeResponseSchema>["response"]>) =>
      call.write(create(ExchangeResponseSchema, { response }));
    const stream = {
      send: () => {
        const ready = resultsOf(channel).slice(sent, (acked.get(channel) ?? 0) + maxUnacked);
        sent += ready.length;
        if (ready.length > 0) reply({ case: "results", value: { results: ready, cursor: BigInt(sent) } });
      },
      fail: (code: number) => {
        streams.delete(stream);
        call.emit("error", { code, details: "cut by the test" });
      },
      notice: (value: MessageInitShape<typeof ExchangeNoticeSchema>) => reply({ case: "notice", value }),
      pauseUntil: (reading: Promise<void>) => {
        call.pause();
        void reading.then(() => call.resume());
      },
    };
    call.on("data", ({ request }: ExchangeRequest) => {
      if (behaviour.onRequest(request)) return;
      if (request.case === "open") {
        opens.push(request.value);
        channel = request.value.channel;
        maxUnacked = request.value.maxUnacked;
        sent = Math.max(Number(request.value.afterCursor), acked.get(channel) ?? 0);
        const { maxJobsPerSubmit, maxMessageBytes, maxValues } = behaviour;
        reply({
          case: "opened",
          value: { cursor: BigInt(sent), maxUnacked, maxJobsPerSubmit, maxMessageBytes, maxValues },
        });
        streams.add(stream);
      } else if (request.case === "submit") {
        batches.push(request.value.jobs.length);
        for (const job of request.value.jobs) job.channel ||= channel;
        const receipts = request.value.jobs.map(take).filter((receipt) => receipt !== null);
        if (receipts.length > 0) reply({ case: "accepted", value: { seq: request.value.seq, receipts } });
      } else if (request.case === "cancel") {
        const { seq, jobIds } = request.value;
        cancelled.push(...jobIds);
        reply({ case: "cancelled", value: { seq, answers: jobIds.map((jobId) => ({ jobId, kind: 1, state: 5 })) } });
      } else if (request.case === "ack") {
        acked.set(channel, Math.max(acked.get(channel) ?? 0, Number(request.value.cursor)));
      }
      stream.send();
    });
    call.on("end", () => {
      streams.delete(stream);
      call.end();
    });
    call.on("cancelled", () => {
      streams.delete(stream);
      waitForStop();
    });
  };

  const results = (call: ServerWritableStream<ResultsRequest, ResultsResponse>) => {
    const { channel, afterCursor, stopAtEnd } = call.request;
    let sent = Math.max(Number(afterCursor), acked.get(channel) ?? 0);
    const stream = {
      send: () => {
        const ready = resultsOf(channel).slice(sent);
        sent += ready.length;
        if (ready.length > 0) call.write(create(ResultsResponseSchema, { results: ready, cursor: BigInt(sent) }));
      },
      fail: (code: number) => {
        streams.delete(stream);
        if (code === 0) call.end();
        else call.emit("error", { code, details: "cut by the test" });
      },
      pauseUntil: () => undefined,
    };
    streams.add(stream);
    stream.send();
    call.on("cancelled", () => {
      streams.delete(stream);
      waitForStop();
    });
    if (stopAtEnd) call.end();
  };

  const watchStats = (call: ServerWritableStream<WatchStatsRequest, WatchStatsResponse>) => {
    intervals.push(call.request.intervalMs);
    const fail = (code: number) => {
      streams.delete(stream);
      call.emit("error", { code, details: "cut by the test" });
    };
    const stream = { send: () => undefined, fail, pauseUntil: () => undefined };
    streams.add(stream);
    const uptime = { seconds: 1n, nanos: 500_250_000 };
    call.write(create(WatchStatsResponseSchema, { snapshot: { pools: [{ queued: 12n }], uptime } }));
  };

  const watchJob = (call: ServerWritableStream<WatchJobRequest, WatchJobResponse>) => {
    watches.push({
      request: call.request,
      send: (...updates) => {
        for (const update of updates) call.write(create(WatchJobResponseSchema, update));
      },
      end: (code) => {
        if (code === 0) call.end();
        else call.emit("error", { code, details: "cut by the test" });
      },
    });
    call.on("cancelled", waitForStop);
  };

  const unary: { [method: string]: Unary } = {
    submit: ({ jobs: specs }: SubmitRequest) => ({ receipts: specs.map(take) }),
    ackResults: ({ channel, cursor }: AckResultsRequest) => {
      acked.set(channel, Math.max(acked.get(channel) ?? 0, Number(cursor)));
      return { cursor: BigInt(acked.get(channel) ?? 0) };
    },
  };

  const implementation: UntypedServiceImplementation = { exchange, results, watchStats, watchJob };
  for (const method of [...WorkerPoolService.methods, ...AdminService.methods]) {
    if (method.methodKind !== "unary") continue;
    const answerOf = async (call: ServerUnaryCall<never, unknown>) => {
      const run = behaviour.onUnary[method.localName] ?? unary[method.localName];
      if (run === undefined) throw Object.assign(new Error(`${method.name} is not faked`), { code: 12 });
      return create(method.output, (await run(call.request, call)) as { [field: string]: unknown });
    };
    const answerOnce: handleUnaryCall<never, unknown> = (call, answer) => {
      metadata.push(call.metadata);
      answerOf(call).then(
        (message) => answer(null, message),
        (error) => answer(error as never),
      );
    };
    implementation[method.localName] = answerOnce as UntypedServiceImplementation[string];
  }

  let server = new Server();
  const listen = async (port: number) => {
    server = new Server();
    for (const service of [WorkerPoolService, AdminService]) {
      server.addService(definition(service, implementation), implementation);
    }
    return new Promise<number>((resolve, reject) => {
      const bound = (error: Error | null, at: number) => (error ? reject(error) : resolve(at));
      server.bindAsync(`127.0.0.1:${port}`, ServerCredentials.createInsecure(), bound);
    });
  };
  const port = await listen(0);

  return {
    address: `127.0.0.1:${port}`,
    behaviour,
    /** Every exchange that was opened; how many jobs each submit carried; the metadata of each call. */
    opens,
    batches,
    metadata,
    /** What each watchStats asked for. */
    intervals,
    /** Every watchJob, and the ids that exchanges cancelled. */
    watches,
    cancelledIds: cancelled,
    /** How often each job was submitted. */
    submitted,
    jobs,
    acked,
    streams,
    channels,
    /** Makes held jobs final and sends their results. */
    complete: (...ids: string[]) => {
      ids.forEach(complete);
      sendAll();
    },
    /** Tells every exchange. */
    notice: (...notices: MessageInitShape<typeof ExchangeNoticeSchema>[]) => {
      for (const stream of streams) for (const each of notices) stream.notice?.(each);
    },
    /** Ends every stream with this status, UNAVAILABLE by default. */
    cut: (code = 14) => {
      for (const stream of streams) stream.fail(code);
    },
    /** Resolves when a client has cancelled a stream. */
    cancelled: () => new Promise<void>((resolve) => stops.push(resolve)),
    /** Breaks all connections, as kill -9 would, and starts again on the same port with the jobs it had. */
    restart: async () => {
      server.forceShutdown();
      streams.clear();
      await listen(port);
    },
    stop: () => server.forceShutdown(),
  };
}

/** A service from its descriptors. */
function definition(service: DescService, implementation: UntypedServiceImplementation): ServiceDefinition {
  const methods: { [name: string]: ServiceDefinition[string] } = {};
  for (const method of service.methods) {
    if (implementation[method.localName] === undefined) continue;
    methods[method.localName] = {
      path: `/${service.typeName}/${method.name}`,
      requestStream: method.methodKind === "bidi_streaming",
      responseStream: method.methodKind !== "unary",
      requestSerialize: (message) => Buffer.from(toBinary(method.input, message)),
      requestDeserialize: (bytes) => fromBinary(method.input, bytes),
      responseSerialize: (message) => Buffer.from(toBinary(method.output, message)),
      responseDeserialize: (bytes) => fromBinary(method.output, bytes),
    };
  }
  return methods;
}
