/** The native gRPC front end: serves the services' functions with grpc-js. The only file that imports grpc-js. */
import {
  type handleBidiStreamingCall,
  type handleServerStreamingCall,
  type handleUnaryCall,
  Metadata,
  Server,
  ServerCredentials,
  type ServerDuplexStream,
  type ServerUnaryCall,
  type ServerWritableStream,
  type ServiceDefinition,
  type ServiceError,
  type UntypedHandleCall,
} from "@grpc/grpc-js";
import {
  type DescMessage,
  type Registry,
  type DescMethod,
  type DescService,
  fromBinary,
  type Message,
  toBinary,
} from "@bufbuild/protobuf";
import type { EventEmitter } from "node:events";
import { type Clock, msUntil } from "../clock.ts";
import { refusal } from "../errors.ts";
import type { Log } from "../log.ts";
import { createGrpcRequests, type GrpcRequests } from "./arrival/grpc-requests.ts";
import type { RequestBudget } from "./arrival/request-budget.ts";
import { type CallContext, checkMetadata, clientKey, parseClient, parseDeadline, traceOfCall } from "./call.ts";
import { readBinary } from "./binary-request.ts";
import { report } from "./boundary.ts";
import type { ConnectionLimits } from "./connection-limits.ts";
import type { FrontEnd, FrontEndLimits } from "./front-end.ts";
import { createGrpcAdmission } from "./grpc-admission.ts";
import { createGrpcStreams } from "./grpc-streams.ts";
import { createListener } from "./listener.ts";
import type { RequestBounds } from "./request-bounds.ts";
import type { AnyStream, AnyUnary, Served } from "./served.ts";
import { statusBytes, statusDetailsKey, toMillpondError, trailersOf } from "./status.ts";
import { createWriter } from "./writer.ts";

export type GrpcOptions = {
  readonly host: string;
  /** 0: any free port. */
  readonly port: number;
  readonly limits: FrontEndLimits;
  readonly budget: RequestBudget;
  readonly connections: Pick<ConnectionLimits, "admit">;
  /** Types of tasks' inputs, to count their values. */
  readonly types: Registry;
  /** Address of the HTTP port, for refusals of gRPC-Web and Connect calls. */
  readonly webAddress: () => string;
  readonly clock: Clock;
  readonly log: Log;
  readonly random: () => number;
};

/** Responses are encoded here, not by grpc-js, so that their sizes are known. */
type Call =
  | ServerUnaryCall<Message, Buffer>
  | ServerWritableStream<Message, Buffer>
  | ServerDuplexStream<Message, Buffer>;

/** grpc-js cuts open calls this long after a drain. `stop` decides that here, so this is the longest timer Node has. */
const forEverMs = 2 ** 31 - 1;

export function createGrpcFrontEnd(services: readonly Served[], options: GrpcOptions): FrontEnd {
  const { host, limits, budget, connections, clock, log } = options;
  const server = new Server({
    "grpc.max_receive_message_length": limits.messageBytes,
    "grpc.max_send_message_length": limits.messageBytes,
    "grpc.max_concurrent_streams": limits.streams,
    "grpc-node.max_session_memory": limits.sessionMemoryMiB,
    "grpc.keepalive_time_ms": limits.keepaliveMs,
    "grpc.keepalive_timeout_ms": limits.keepaliveTimeoutMs,
    "grpc.enable_channelz": 0,
  });
  // grpc-js can listen itself, but cannot cut the connection of a client that does not read, and so cannot always stop
  const injector = server.createConnectionInjector(ServerCredentials.createInsecure());
  const requests = createGrpcRequests({
    ...{ budget, log },
    messageBytes: limits.messageBytes,
    streamPaths: streamPaths(services),
  });
  const admit = createGrpcAdmission(options);
  const streams = createGrpcStreams(log, (stream, headers) => {
    const isAdmitted = admit(stream, headers);
    if (isAdmitted) requests.count(stream, headers);
    return isAdmitted;
  });
  const listener = createListener({
    ...{ name: "gRPC", portFlag: "--grpc-port", host, port: options.port },
    ...{ allowHalfOpen: false, connections },
    onConnection(socket) {
      streams.watch(socket);
      injector.injectConnection(socket);
    },
    log,
  });
  const cut = (peer: string) => listener.cut(peer);
  const bounds: RequestBounds = { maxValues: limits.values, types: options.types };
  for (const each of services) {
    server.addService(definition(each.service, bounds), implementation(each, { ...options, requests, cut }));
  }

  return {
    name: "gRPC",
    address: listener.address,
    async start() {
      await listener.listen();
      streams.start();
    },
    drain: () => injector.drain(forEverMs),
    async stop() {
      const cancel = clock.after(limits.closeMs, listener.destroy);
      const closed = listener.close();
      server.tryShutdown(() => undefined); // closes idle connections at once, and the others when their calls have ended
      await closed;
      streams.stop();
      cancel();
    },
  };
}

/** Paths of the methods with a stream of requests. */
function streamPaths(services: readonly Served[]): ReadonlySet<string> {
  const methods = services.flatMap(({ service }) => service.methods);
  const streams = methods.filter(({ methodKind }) => methodKind === "bidi_streaming");
  return new Set(streams.map(({ parent, name }) => `/${parent.typeName}/${name}`));
}

/** The service definition for grpc-js, built from the descriptors. */
function definition(service: DescService, bounds: RequestBounds): ServiceDefinition {
  return Object.fromEntries(
    service.methods.map((method) => [
      method.localName,
      {
        path: `/${service.typeName}/${method.name}`,
        originalName: method.name,
        requestStream: method.methodKind === "bidi_streaming" || method.methodKind === "client_streaming",
        responseStream: method.methodKind === "bidi_streaming" || method.methodKind === "server_streaming",
        requestSerialize: (message: Message) => encode(method.input, message),
        requestDeserialize: (bytes: Buffer) => decode(method, bytes, bounds),
        responseSerialize: (bytes: Buffer) => bytes,
        responseDeserialize: (bytes: Buffer) => fromBinary(method.output, bytes),
      },
    ]),
  );
}

function encode(type: DescMessage, message: Message): Buffer {
  const bytes = toBinary(type, message);
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/**
 * Returns errors instead of throwing: grpc-js answers INTERNAL when decoding throws, but a malformed request is the
 * caller's mistake.
 */
function decode({ input }: DescMethod, bytes: Buffer, bounds: RequestBounds): Message | Unreadable {
  try {
    return readBinary(input, bytes, bounds);
  } catch (error) {
    return { $unreadable: error };
  }
}

type Unreadable = { readonly $unreadable: unknown };

function readable(request: Message | Unreadable): Message {
  if ("$unreadable" in request) throw request.$unreadable;
  return request;
}

type CallOptions = GrpcOptions & {
  readonly requests: GrpcRequests;
  /** Cuts the connection of this peer. */
  readonly cut: (peer: string) => void;
};

function implementation({ service, functions }: Served, options: CallOptions): Record<string, UntypedHandleCall> {
  return Object.fromEntries(
    service.methods.map((method) => {
      const { localName, methodKind, output } = method;
      const implement = functions[localName];
      switch (methodKind) {
        case "unary":
          return [localName, unary(implement as AnyUnary, output, options)];
        case "server_streaming":
          return [localName, serverStream(implement as AnyStream, output, options)];
        default:
          return [localName, bidiStream(implement as AnyStream, output, options)];
      }
    }),
  );
}

function unary(implement: AnyUnary, output: DescMessage, options: CallOptions): handleUnaryCall<Message, Buffer> {
  return (call, callback) => {
    const answer = async () => encode(output, await implement(readable(call.request), contextOf(call, options)));
    answer()
      .then(
        (response) => callback(null, response),
        (error: unknown) => callback(serviceError(error, options)),
      )
      .catch((error: unknown) => {
        report(options.log, "a call's answer", error);
        options.cut(call.getPeer()); // the response may have started, so no error can be sent
      });
  };
}

function serverStream(
  implement: AnyStream,
  output: DescMessage,
  options: CallOptions,
): handleServerStreamingCall<Message, Buffer> {
  return (call) => {
    pipe(() => implement(readable(call.request), contextOf(call, options)), output, call, options);
  };
}

function bidiStream(
  implement: AnyStream,
  output: DescMessage,
  options: CallOptions,
): handleBidiStreamingCall<Message, Buffer> {
  return (call) => {
    pipe(() => implement(requestsOf(call, options), contextOf(call, options)), output, call, options);
  };
}

/**
 * The requests end when the client disconnects; `CallContext.signal` aborts then. Iterating must not destroy the call
 * when the client half-closes: there are responses to send.
 */
async function* requestsOf(
  call: ServerDuplexStream<Message, Buffer>,
  { requests: { key, taken } }: CallOptions,
): AsyncGenerator<Message> {
  const name = call.metadata.get(key)[0]?.toString();
  const requests = call.iterator({ destroyOnReturn: false }) as AsyncIterable<Message | Unreadable>;
  for await (const request of requests) {
    taken(name);
    yield readable(request);
  }
}

type StreamCall = ServerWritableStream<Message, Buffer> | ServerDuplexStream<Message, Buffer>;
type Responses = () => AsyncIterable<Message>;

function pipe(open: Responses, output: DescMessage, call: StreamCall, options: CallOptions): void {
  writeAll(open, output, call, options).catch((error: unknown) => {
    report(options.log, "a stream's end", error);
    if (!call.writableEnded) options.cut(call.getPeer());
  });
}

/** Writes responses as fast as the client reads them, and cuts the connection of one that does not. */
async function writeAll(open: Responses, output: DescMessage, call: StreamCall, options: CallOptions): Promise<void> {
  const { clock, limits, cut } = options;
  const gone = goneSignal(call);
  const peer = call.getPeer(); // read now: it is unknown after a disconnect
  const writer = createWriter({
    clock,
    gone,
    stallMs: limits.slowReaderMs,
    write: (bytes: Buffer, written) => void call.write(bytes, written),
    onStalled: () => cut(peer),
  });
  let responses: AsyncIterator<Message> | undefined;
  // a function of its own, so that neither the response nor its bytes stay in memory while the client reads: the
  // transport has a copy
  const passOn = async (from: AsyncIterator<Message>) => {
    const next = await from.next();
    if (next.done || gone.aborted) return false;
    return writer.write(encode(output, next.value)).then(() => true);
  };
  try {
    responses = open()[Symbol.asyncIterator]();
    while (await passOn(responses));
    if (gone.aborted) return;
    call.end();
    await writer.flushed();
  } catch (error) {
    // an error destroys a bidirectional call, and a status queued behind a response would never be sent
    await writer.flushed();
    if (gone.aborted) return; // the caller has disconnected
    call.emit("error", serviceError(error, options));
  } finally {
    await responses?.return?.();
  }
}

function contextOf(call: Call, { limits, clock }: GrpcOptions): CallContext {
  const { metadata } = call;
  const entries = Object.entries(metadata.getMap());
  checkMetadata(entries, limits.metadataBytes);
  const value = (key: string) => metadata.get(key)[0]?.toString();
  const deadline = Number(call.getDeadline());
  return {
    client: parseClient(value(clientKey)),
    rpcSystem: "grpc",
    trace: traceOfCall(value),
    signal: goneSignal(call),
    deadlineAt: parseDeadline(clock.now() + msUntil(deadline)),
  };
}

const signals = new WeakMap<object, AbortSignal>();

/** One signal for each call: the client cancelled, its deadline passed, or its connection broke. */
function goneSignal(call: Call): AbortSignal {
  const known = signals.get(call);
  if (known) return known;
  const controller = new AbortController();
  (call as EventEmitter).on("cancelled", () => controller.abort(refusal("cancelled", [])));
  signals.set(call, controller.signal);
  return controller.signal;
}

function serviceError(thrown: unknown, { log, random }: GrpcOptions): Partial<ServiceError> {
  const error = toMillpondError(thrown, log);
  const metadata = new Metadata();
  metadata.set(statusDetailsKey, statusBytes(error));
  for (const [key, value] of trailersOf(error, random)) metadata.set(key, value);
  return { code: error.code, details: error.message, metadata };
}
