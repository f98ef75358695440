/**
 * How the driver speaks to a server: gRPC as it is, without the project's own client, which would retry and reconnect
 * and so hide what was told.
 */
import type { DescMessage, DescMethodUnary, DescMethodServerStreaming, MessageShape } from "@bufbuild/protobuf";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { anyUnpack } from "@bufbuild/protobuf/wkt";
import { Client, credentials, Metadata, type ServiceError } from "@grpc/grpc-js";
import { ErrorInfoSchema } from "../../../src/gen/google/rpc/error_details_pb.ts";
import { StatusSchema } from "../../../src/gen/google/rpc/status_pb.ts";
import {
  type ExchangeRequest,
  ExchangeRequestSchema,
  type ExchangeResponse,
  ExchangeResponseSchema,
  WorkerPoolService,
} from "../../../src/gen/millpond/v1/worker_pool_pb.ts";

/** The server's reason, or the gRPC code in words when what failed was the connection. */
export type CallFailure = { readonly code: number; readonly reason: string };

export type Exchange = {
  /** False: wait for `onDrain`. */
  send(request: ExchangeRequest["request"]): boolean;
  cancel(): void;
};

export type ExchangeEvents = {
  onResponse(response: ExchangeResponse["response"]): void;
  onDrain(): void;
  /** Comes once, and last. */
  onEnd(failure: CallFailure | undefined): void;
};

export type Wire = {
  /** Rejects with a CallFailure. */
  unary<I extends DescMessage, O extends DescMessage>(
    method: DescMethodUnary<I, O>,
    request: MessageShape<I>,
    timeoutMs: number,
  ): Promise<MessageShape<O>>;
  /** All messages of a stream that ends by itself. Rejects with a CallFailure. */
  collect<I extends DescMessage, O extends DescMessage>(
    method: DescMethodServerStreaming<I, O>,
    request: MessageShape<I>,
    timeoutMs: number,
    onMessage: (message: MessageShape<O>) => void,
  ): Promise<void>;
  exchange(events: ExchangeEvents): Exchange;
  close(): void;
};

/** gRPC codes. */
export const unimplemented = 12;
export const unavailable = 14;
const messageBytes = 64 * 2 ** 20;

/** How long a connection may take until the server has answered on it. */
const handshakeMs = 5_000;

function dial(address: string, silenceMs: number): Client {
  return new Client(address, credentials.createInsecure(), {
    "grpc.initial_reconnect_backoff_ms": 20,
    "grpc.max_reconnect_backoff_ms": 100,
    "grpc.use_local_subchannel_pool": 1,
    "grpc.enable_channelz": 0,
    "grpc.enable_retries": 0,
    "grpc.service_config_disable_resolution": 1,
    "grpc.enable_http_proxy": 0,
    "grpc.max_receive_message_length": messageBytes,
    // how a half-open connection is noticed
    "grpc.keepalive_time_ms": 2_000,
    "grpc.keepalive_timeout_ms": silenceMs,
  });
}

/**
 * Connects when the first call needs it, and again whenever one does. `silenceMs`: how long the server may leave a ping
 * unanswered before its connection counts as half-open.
 */
export function openWire(address: string, client: string, silenceMs = 2_000): Wire {
  const open = () => dial(address, silenceMs);
  let grpc = open();
  let isClosed = false;

  /**
   * The library waits without end for a handshake whose bytes a half-open connection swallowed: then another client takes
   * over, and what waited for this one fails.
   */
  function current(): Client {
    const client = grpc;
    client.waitForReady(Date.now() + Math.max(handshakeMs, silenceMs), (error) => {
      if (!error || isClosed || client !== grpc) return;
      grpc = open();
      client.close();
    });
    return client;
  }

  const metadata = () => {
    const sent = new Metadata();
    sent.set("millpond-client", client);
    return sent;
  };
  const deadline = (timeoutMs: number) => ({ deadline: Date.now() + timeoutMs });

  return {
    unary: (method, request, timeoutMs) =>
      new Promise((resolve, reject) => {
        current().makeUnaryRequest(
          pathOf(method),
          (message: typeof request) => Buffer.from(toBinary(method.input, message)),
          (bytes) => fromBinary(method.output, bytes),
          request,
          metadata(),
          deadline(timeoutMs),
          (error, response) => {
            if (error) reject(toFailure(error));
            else resolve(response!);
          },
        );
      }),
    collect: (method, request, timeoutMs, onMessage) =>
      new Promise((resolve, reject) => {
        const call = current().makeServerStreamRequest(
          pathOf(method),
          (message: typeof request) => Buffer.from(toBinary(method.input, message)),
          (bytes) => fromBinary(method.output, bytes),
          request,
          metadata(),
          deadline(timeoutMs),
        );
        call.on("data", onMessage);
        call.on("end", resolve);
        call.on("error", (error) => reject(toFailure(error)));
      }),
    exchange: ({ onResponse, onDrain, onEnd }) => {
      const call = current().makeBidiStreamRequest(
        pathOf(WorkerPoolService.method.exchange),
        (bytes: Uint8Array) => Buffer.from(bytes),
        (bytes) => fromBinary(ExchangeResponseSchema, bytes),
        metadata(),
      );
      let hasEnded = false;
      const end = (failure: CallFailure | undefined) => {
        if (hasEnded) return;
        hasEnded = true;
        onEnd(failure);
      };
      call.on("data", ({ response }: ExchangeResponse) => hasEnded || onResponse(response));
      call.on("drain", () => hasEnded || onDrain());
      call.on("error", (error) => end(toFailure(error)));
      call.on("end", () => end(undefined));
      return {
        send: (request) => call.write(toBinary(ExchangeRequestSchema, create(ExchangeRequestSchema, { request }))),
        cancel: () => call.cancel(),
      };
    },
    close: () => {
      isClosed = true;
      grpc.close();
    },
  };
}

function pathOf(method: { readonly name: string; readonly parent: { readonly typeName: string } }): string {
  return `/${method.parent.typeName}/${method.name}`;
}

function toFailure(error: unknown): CallFailure {
  const { code = 2, details, metadata } = error as Partial<ServiceError>;
  const bytes = metadata?.get("grpc-status-details-bin")[0];
  const status = typeof bytes === "object" ? fromBinary(StatusSchema, bytes) : undefined;
  for (const detail of status?.details ?? []) {
    const info = anyUnpack(detail, ErrorInfoSchema);
    if (info) return { code, reason: info.reason };
  }
  return { code, reason: `transport ${code}: ${details ?? String(error)}` };
}
