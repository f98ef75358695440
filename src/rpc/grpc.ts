/** The native gRPC front end: grpc-js over the service's functions. The only file that knows grpc-js. */
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
import { type DescMessage, type DescMethod, fromBinary, type Message, toBinary } from "@bufbuild/protobuf";
import { type EventEmitter, once } from "node:events";
import type { Clock } from "../clock.ts";
import { messageOf, type MillpondError, refusal, StartError } from "../errors.ts";
import { WorkerPoolService } from "../gen/millpond/v1/worker_pool_pb.ts";
import { createSignal } from "../lifecycle.ts";
import type { Log } from "../log.ts";
import { type CallContext, checkMetadata, clientKey, parseClient, parseTrace } from "./call.ts";
import type { FrontEnd, FrontEndLimits } from "./front-end.ts";
import { createListener } from "./listener.ts";
import type { Service } from "./service.ts";
import { statusBytes, statusDetailsKey, toMillpondError, trailersOf } from "./status.ts";

export type GrpcOptions = {
  readonly host: string;
  /** 0: any free port. */
  readonly port: number;
  readonly limits: FrontEndLimits;
  /** Where gRPC-Web and Connect are served, for the refusal of such a call. */
  readonly webAddress: () => string;
  readonly clock: Clock;
  readonly log: Log;
};

type Call =
  | ServerUnaryCall<Message, Message>
  | ServerWritableStream<Message, Message>
  | ServerDuplexStream<Message, Message>;

export function createGrpcFrontEnd(service: Service, options: GrpcOptions): FrontEnd {
  const { host, limits, clock } = options;
  const server = new Server({
    "grpc.max_receive_message_length": limits.messageBytes,
    "grpc.max_send_message_length": limits.messageBytes,
    "grpc.max_concurrent_streams": limits.streams,
    "grpc-node.max_session_memory": limits.sessionMemoryMiB,
    "grpc.enable_channelz": 0,
  });
  server.addService(definition(), implementation(service, options));
  // grpc-js could listen by itself, but could not cut a connection whose client reads no more, and so not always stop
  const injector = server.createConnectionInjector(ServerCredentials.createInsecure());
  const listener = createListener({
    allowHalfOpen: false,
    onConnection: (socket) => injector.injectConnection(socket),
  });
  let port = options.port;
  const address = () => `${host.includes(":") ? `[${host}]` : host}:${port}`;

  return {
    name: "gRPC",
    address,
    async start() {
      try {
        port = await listener.listen(host, port);
      } catch (error) {
        throw new StartError(
          `gRPC cannot listen on ${address()}: ${messageOf(error)}: is another server running? Choose another with --grpc-port`,
          { cause: error },
        );
      }
    },
    async stop() {
      const cancel = clock.after(limits.closeMs, listener.destroy);
      const closed = listener.close();
      server.tryShutdown(() => undefined); // ends idle connections at once, and the others when their calls have ended
      await closed;
      cancel();
    },
  };
}

/** The service as grpc-js wants it, straight from the descriptors. */
function definition(): ServiceDefinition {
  return Object.fromEntries(
    WorkerPoolService.methods.map((method) => [
      method.localName,
      {
        path: `/${WorkerPoolService.typeName}/${method.name}`,
        originalName: method.name,
        requestStream: method.methodKind === "bidi_streaming" || method.methodKind === "client_streaming",
        responseStream: method.methodKind === "bidi_streaming" || method.methodKind === "server_streaming",
        requestSerialize: (message: Message) => encode(method.input, message),
        requestDeserialize: (bytes: Buffer) => decode(method, bytes),
        responseSerialize: (message: Message) => encode(method.output, message),
        responseDeserialize: (bytes: Buffer) => fromBinary(method.output, bytes),
      },
    ]),
  );
}

function encode(type: DescMessage, message: Message): Buffer {
  const bytes = toBinary(type, message);
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** grpc-js answers INTERNAL when decoding throws; a request that cannot be read is the caller's mistake. */
function decode(method: DescMethod, bytes: Buffer): Message | Unreadable {
  try {
    return fromBinary(method.input, bytes);
  } catch (error) {
    return { $unreadable: `it is not a ${method.input.typeName}: ${messageOf(error)}` };
  }
}

type Unreadable = { readonly $unreadable: string };

function readable(request: Message | Unreadable): Message {
  if ("$unreadable" in request) throw refusal("malformed_request", [request.$unreadable]);
  return request;
}

function implementation(service: Service, options: GrpcOptions): Record<string, UntypedHandleCall> {
  type AnyUnary = (request: Message, call: CallContext) => Promise<Message>;
  type AnyStream = (request: unknown, call: CallContext) => AsyncIterable<Message>;
  return Object.fromEntries(
    WorkerPoolService.methods.map((method) => {
      const implement = service[method.localName as keyof Service] as unknown;
      switch (method.methodKind) {
        case "unary":
          return [method.localName, unary(implement as AnyUnary, options)];
        case "server_streaming":
          return [method.localName, serverStream(implement as AnyStream, options)];
        default:
          return [method.localName, bidiStream(implement as AnyStream, options)];
      }
    }),
  );
}

function unary(
  implement: (request: Message, call: CallContext) => Promise<Message>,
  options: GrpcOptions,
): handleUnaryCall<Message, Message> {
  return (call, callback) => {
    const answer = async () => implement(readable(call.request), contextOf(call, options));
    answer().then(
      (response) => callback(null, response),
      (error: unknown) => callback(serviceError(toMillpondError(error, options.log))),
    );
  };
}

function serverStream(
  implement: (request: Message, call: CallContext) => AsyncIterable<Message>,
  options: GrpcOptions,
): handleServerStreamingCall<Message, Message> {
  return (call) => {
    void pipe(() => implement(readable(call.request), contextOf(call, options)), call, options);
  };
}

function bidiStream(
  implement: (requests: AsyncIterable<Message>, call: CallContext) => AsyncIterable<Message>,
  options: GrpcOptions,
): handleBidiStreamingCall<Message, Message> {
  return (call) => {
    void pipe(() => implement(requestsOf(call), contextOf(call, options)), call, options);
  };
}

/**
 * A client that goes away ends the requests; `CallContext.signal` says that it did. Iterating must not destroy the call
 * when the client half-closes: there are responses to send.
 */
async function* requestsOf(call: ServerDuplexStream<Message, Message>): AsyncGenerator<Message> {
  const requests = call.iterator({ destroyOnReturn: false }) as AsyncIterable<Message | Unreadable>;
  for await (const request of requests) yield readable(request);
}

/** Writes responses as fast as the client reads them. */
async function pipe(
  open: () => AsyncIterable<Message>,
  call: ServerWritableStream<Message, Message> | ServerDuplexStream<Message, Message>,
  options: GrpcOptions,
): Promise<void> {
  const gone = goneSignal(call);
  let unwritten = 0;
  const flushed = createSignal();
  let isEnding = false;
  const written = () => {
    unwritten -= 1;
    if (isEnding && unwritten === 0) flushed.fire();
  };
  try {
    for await (const response of open()) {
      if (gone.aborted) break;
      unwritten += 1;
      if (!call.write(response, written)) await once(call, "drain", { signal: gone });
    }
    call.end();
  } catch (error) {
    isEnding = true;
    gone.addEventListener("abort", () => flushed.fire(), { once: true });
    // an error destroys a call that is also read from, and a status that waits behind a response would never be sent
    if (unwritten > 0 && !gone.aborted) await flushed.promise;
    if (gone.aborted) return; // nobody is there to be told
    call.emit("error", serviceError(toMillpondError(error, options.log)));
  }
}

function contextOf(call: Call, { limits, webAddress }: GrpcOptions): CallContext {
  const { metadata } = call;
  const entries = Object.entries(metadata.getMap());
  checkMetadata(entries, limits.metadataBytes);
  const value = (key: string) => metadata.get(key)[0]?.toString();
  if (value("x-grpc-web") !== undefined)
    throw refusal("unsupported_content_type", ["application/grpc-web", webAddress()]);
  return { client: parseClient(value(clientKey)), trace: parseTrace(value("traceparent")), signal: goneSignal(call) };
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

function serviceError(error: MillpondError): Partial<ServiceError> {
  const metadata = new Metadata();
  metadata.set(statusDetailsKey, statusBytes(error));
  for (const [key, value] of trailersOf(error)) metadata.set(key, value);
  return { code: error.code, details: error.message, metadata };
}
