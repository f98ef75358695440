/** The only file that knows @grpc/grpc-js. */
import type { DescMessage, DescMethodServerStreaming, DescMethodUnary, MessageShape } from "@bufbuild/protobuf";
import { fromBinary, toBinary } from "@bufbuild/protobuf";
import type { ServiceError } from "@grpc/grpc-js";
import { Client, credentials, Metadata } from "@grpc/grpc-js";
import type { ExchangeResponse } from "../../src/gen/millpond/v1/worker_pool_pb.ts";
import { ExchangeResponseSchema, WorkerPoolService } from "../../src/gen/millpond/v1/worker_pool_pb.ts";
import { systemClock } from "./clock.ts";
import { clientClosed, MillpondClientError, toClientError, unreadableResponse } from "./error.ts";

/** The bound on one message in either direction; the server's default is the same. */
const maxMessageBytes = 4 * 1024 * 1024;
/** How much one stream may receive ahead of its reader. Node's default of 64 KiB stalls on every larger message. */
const windowBytes = 1024 * 1024;
/** grpc-js fails calls with longer deadlines at once, because their timers wrap at 24.8 days. */
const longestDeadlineMs = 24 * 24 * 3_600_000;

const longestPatienceMs = 600_000;
/** Messages may be nested so deep; protobuf's own 100 would keep inputs and outputs from being shown that the server has. */
const maxNesting = 400;

export type ConnectionOptions = {
  readonly address: string;
  readonly client?: string | undefined;
  /** 0: never. */
  readonly keepaliveMs: number;
  /**
   * How long calls wait for the server to answer on a new connection before another is made. Default: 20 s, as gRPC has it
   * elsewhere.
   */
  readonly handshakeMs?: number;
};

/** Messages from the server, read with `for await`. `cancel` ends the call. */
export type ServerStream<T> = AsyncIterable<T> & { cancel(): void };

/** What happens on an exchange stream. `onEnd` comes last, and once: with the error unless the status was OK. */
export type ExchangeEvents = {
  onResponse(response: ExchangeResponse): void;
  onDrain(): void;
  onEnd(error: MillpondClientError | undefined): void;
};

/** The sending side of an exchange stream. `write` takes an encoded ExchangeRequest; false means: wait for `onDrain`. */
export type ExchangeStream = { write(request: Uint8Array): boolean; end(): void; cancel(): void };

/** A connection to one server. It connects at the first call and again whenever a call needs it. */
export type Connection = {
  readonly address: string;
  /** Aborts when the connection is closed. */
  readonly closed: AbortSignal;
  /**
   * One try of a call that answers with one message. Infinity: without a time limit. Rejects with a MillpondClientError,
   * also when `signal` cancels the call.
   */
  unary<I extends DescMessage, O extends DescMessage>(
    method: DescMethodUnary<I, O>,
    request: MessageShape<I>,
    timeoutMs: number,
    signal?: AbortSignal,
    /** Metadata of this call; what is empty is not sent. */
    headers?: { readonly [name: string]: string },
  ): Promise<MessageShape<O>>;
  /** Starts a call that answers with many messages. Reading throws a MillpondClientError. */
  serverStream<I extends DescMessage, O extends DescMessage>(
    method: DescMethodServerStreaming<I, O>,
    request: MessageShape<I>,
  ): ServerStream<MessageShape<O>>;
  exchange(events: ExchangeEvents): ExchangeStream;
  /** Ends every call that runs with `client_closed`, and lets go of the socket. */
  close(): void;
};

export function createConnection({
  address,
  client,
  keepaliveMs,
  handshakeMs = 20_000,
}: ConnectionOptions): Connection {
  const dial = () =>
    new Client(address, credentials.createInsecure(), {
      "grpc.max_receive_message_length": maxMessageBytes,
      "grpc.max_send_message_length": maxMessageBytes,
      "grpc-node.flow_control_window": windowBytes,
      "grpc.initial_reconnect_backoff_ms": 100,
      "grpc.max_reconnect_backoff_ms": 1_000,
      "grpc.use_local_subchannel_pool": 1,
      "grpc.enable_channelz": 0,
      "grpc.enable_retries": 0, // call.ts retries, and knows what the server advises
      "grpc.service_config_disable_resolution": 1,
      ...(isLoopback(address) ? { "grpc.enable_http_proxy": 0 } : {}),
      ...(keepaliveMs > 0 ? { "grpc.keepalive_time_ms": keepaliveMs, "grpc.keepalive_timeout_ms": 20_000 } : {}),
    });
  let grpc = dial();
  /** Whether a call waits for the connection: one is enough, however many calls there are. */
  let isWatched = false;
  let patienceMs = handshakeMs;
  const running = new Set<{ cancel(): void }>();
  const closing = new AbortController();

  /**
   * grpc-js waits without end for a server that takes the connection and says nothing on it, as after a network that
   * broke in the middle of the handshake: another one is made then, and calls that waited for this one may be retried.
   * What it has begun it leaves to the operating system, so each further wait is twice as long.
   */
  function connected(): Client {
    const asked = grpc;
    if (isWatched) return asked;
    isWatched = true;
    const cancel = systemClock.after(patienceMs, () => {
      if (closing.signal.aborted) return;
      isWatched = false;
      patienceMs = Math.min(2 * patienceMs, longestPatienceMs);
      grpc = dial();
      asked.close();
    });
    asked.waitForReady(Number.POSITIVE_INFINITY, () => {
      cancel();
      if (asked !== grpc) return; // it was given up
      isWatched = false;
      patienceMs = handshakeMs;
    });
    return asked;
  }

  const metadata = (headers: { readonly [name: string]: string } = {}) => {
    const sent = new Metadata();
    if (client !== undefined) sent.set("millpond-client", client);
    for (const [name, value] of Object.entries(headers)) if (value !== "") sent.set(name, value);
    return sent;
  };

  const toError = (error: unknown): MillpondClientError => {
    if (closing.signal.aborted) return clientClosed();
    const { code = 2, details, message, metadata: received } = error as Partial<ServiceError>;
    const bytes = received?.get("grpc-status-details-bin")[0];
    return toClientError(
      { code, message: details ?? message ?? String(error), details: typeof bytes === "string" ? undefined : bytes },
      address,
    );
  };

  /** Returns an error instead of throwing it: grpc-js would treat a thrown one as a broken call. */
  const read = <O extends DescMessage>(type: O, bytes: Buffer): MessageShape<O> | MillpondClientError => {
    try {
      return fromBinary(type, bytes, { recursionLimit: maxNesting });
    } catch (cause) {
      return unreadableResponse(type.typeName, address, cause);
    }
  };

  return {
    address,
    closed: closing.signal,

    unary: (method, request, timeoutMs, signal, headers) =>
      new Promise((resolve, reject) => {
        if (closing.signal.aborted) throw clientClosed();
        const call = connected().makeUnaryRequest(
          pathOf(method),
          (message: typeof request) => toBuffer(toBinary(method.input, message)),
          (bytes) => read(method.output, bytes),
          request,
          metadata(headers),
          timeoutMs === Number.POSITIVE_INFINITY
            ? {}
            : { deadline: systemClock.now() + Math.min(timeoutMs, longestDeadlineMs) },
          (error, response) => {
            running.delete(call);
            signal?.removeEventListener("abort", cancel);
            if (error !== null) reject(toError(error));
            else if (response instanceof MillpondClientError) reject(response);
            else resolve(response as NonNullable<typeof response>);
          },
        );
        const cancel = () => call.cancel();
        running.add(call);
        signal?.addEventListener("abort", cancel);
      }),

    serverStream: (method, request) => {
      if (closing.signal.aborted) throw clientClosed();
      const call = connected().makeServerStreamRequest(
        pathOf(method),
        (message: typeof request) => toBuffer(toBinary(method.input, message)),
        (bytes) => read(method.output, bytes),
        request,
        metadata(),
      );
      running.add(call);
      call.on("status", () => running.delete(call));
      call.on("error", () => undefined); // the reader gets it too; this is for when it is no longer read
      return {
        cancel: () => call.cancel(),
        async *[Symbol.asyncIterator]() {
          try {
            for await (const response of call) {
              if (response instanceof MillpondClientError) throw response;
              yield response as MessageShape<typeof method.output>;
            }
          } catch (error) {
            throw error instanceof MillpondClientError ? error : toError(error);
          } finally {
            call.cancel();
          }
        },
      };
    },

    exchange: ({ onResponse, onDrain, onEnd }) => {
      if (closing.signal.aborted) throw clientClosed();
      const call = connected().makeBidiStreamRequest(
        pathOf(WorkerPoolService.method.exchange),
        toBuffer,
        (bytes) => read(ExchangeResponseSchema, bytes),
        metadata(),
      );
      running.add(call);
      let hasEnded = false;
      const end = (error: MillpondClientError | undefined) => {
        if (hasEnded) return;
        hasEnded = true;
        running.delete(call);
        onEnd(error);
      };
      call.on("data", (response: ExchangeResponse | MillpondClientError) => {
        if (hasEnded) return;
        if (!(response instanceof MillpondClientError)) return onResponse(response);
        end(response);
        call.cancel();
      });
      call.on("drain", onDrain);
      call.on("error", (error) => end(toError(error)));
      call.on("end", () => end(undefined)); // after a failure it comes too, but after "error"
      return {
        write: (request) => call.write(request),
        end: () => call.end(),
        cancel: () => call.cancel(),
      };
    },

    close: () => {
      if (closing.signal.aborted) return;
      closing.abort();
      for (const call of running) call.cancel();
      grpc.close();
    },
  };
}

function pathOf(method: { readonly name: string; readonly parent: { readonly typeName: string } }): string {
  return `/${method.parent.typeName}/${method.name}`;
}

/** grpc-js wants a Buffer; this is a view, not a copy. */
function toBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function isLoopback(address: string): boolean {
  return /^(ipv4:|dns:\/*)?(127\.|localhost(:|$))|^(ipv6:)?\[::1\]/.test(address);
}
