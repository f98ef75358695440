/**
 * Counts the requests of grpc-js in the budget: grpc-js buffers a stream until it has a whole message, and has no
 * option to bound that.
 */
import { constants, type IncomingHttpHeaders, type ServerHttp2Stream } from "node:http2";
import type { Log } from "../../log.ts";
import { guarded } from "../boundary.ts";
import { isOneEnvelope } from "../envelopes.ts";
import { createEnvelopes, smallBytes } from "./framing.ts";
import type { RequestBody } from "./request-body.ts";
import type { RequestBudget } from "./request-budget.ts";

export type GrpcRequests = {
  /** Counts a request. Call it before grpc-js receives the stream, so that its bytes arrive here first. */
  count(stream: ServerHttp2Stream, headers: IncomingHttpHeaders): void;
  /** Metadata key that identifies the request of a call. Set on request streams, replacing any value from the client. */
  readonly key: string;
  /** The reader of this request has taken a message. */
  taken(request: string | undefined): void;
};

export type GrpcRequestsOptions = {
  readonly budget: RequestBudget;
  readonly log: Log;
  readonly messageBytes: number;
  /** Paths of the methods with a stream of requests. */
  readonly streamPaths: ReadonlySet<string>;
};

/** One HTTP/2 window plus the buffer of its stream. */
const pausedBytes = 128 * 1024;
const key = "millpond-request";

export function createGrpcRequests({ budget, log, messageBytes, streamPaths }: GrpcRequestsOptions): GrpcRequests {
  const streams = new Map<string, RequestBody>();
  let requestCount = 0;

  function open(stream: ServerHttp2Stream, handsOver: "taken" | "end"): RequestBody {
    return budget.open({
      connection: stream.session ?? stream,
      framing: createEnvelopes(messageBytes),
      handsOver,
      pausedBytes,
      pause: () => stream.pause(),
      resume: () => stream.resume(),
      cut: () => cutStream(stream),
    });
  }

  /** A request stream is counted from its first byte. */
  function readStream(stream: ServerHttp2Stream, name: string): void {
    const body = open(stream, "taken");
    streams.set(name, body);
    const end = () => {
      streams.delete(name);
      body.end();
    };
    stream.on("data", body.received).on("close", end); // neither throws
  }

  /** A unary request is usually small and arrives complete in one piece; only one that does not is counted. */
  function readSingle(stream: ServerHttp2Stream): void {
    let body: RequestBody | undefined;
    let first: Uint8Array | undefined;
    const guard = <Args extends readonly unknown[]>(handler: (...args: Args) => void) =>
      guarded(log, "counting a request", handler, () => stream.destroy());
    const later = {
      bytes: 0,
      open: guard(() => {
        body = open(stream, "end");
        if (first) body.received(first);
        first = undefined;
      }),
    };
    const end = () => {
      budget.forget(later);
      first = undefined;
      body?.end();
    };
    const received = (chunk: Uint8Array) => {
      if (!body && !first && chunk.length <= smallBytes && isOneEnvelope(chunk)) {
        first = chunk;
        budget.hold(later, chunk.length);
        return;
      }
      if (!body) {
        budget.forget(later);
        later.open();
      }
      body?.received(chunk);
    };
    budget.openLater(later);
    const onEnd = guard(end);
    stream.on("data", guard(received)).on("end", onEnd).on("close", onEnd);
  }

  return {
    key,
    count(stream, headers) {
      if (!streamPaths.has(headers[":path"] ?? "")) {
        readSingle(stream);
        return;
      }
      requestCount += 1;
      const name = String(requestCount);
      headers[key] = name;
      readStream(stream, name);
    },
    taken: (request) => streams.get(request ?? "")?.taken(),
  };
}

/** Resets an HTTP/2 stream with ENHANCE_YOUR_CALM; gRPC clients see RESOURCE_EXHAUSTED. */
function cutStream(stream: ServerHttp2Stream): void {
  stream.close(constants.NGHTTP2_ENHANCE_YOUR_CALM);
  stream.destroy(); // otherwise it keeps the bytes that arrived and were not read
}
