/** Counts the requests of grpc-js in the budget: it reads a stream until it has a whole message, and no option of it bounds that. */
import { constants, type IncomingHttpHeaders, type ServerHttp2Stream } from "node:http2";
import type { Log } from "../../log.ts";
import { guarded } from "../boundary.ts";
import { isOneEnvelope } from "../envelopes.ts";
import { createEnvelopes, smallBytes } from "./framing.ts";
import type { RequestBody } from "./request-body.ts";
import type { RequestBudget } from "./request-budget.ts";

export type GrpcRequests = {
  /** Counts a request before grpc-js gets it, so that its bytes are seen here first. */
  count(stream: ServerHttp2Stream, headers: IncomingHttpHeaders): void;
  /** Metadata that identifies the request of a call. Set on streams of requests, in place of whatever the client sent. */
  readonly key: string;
  /** The reader of this request took a message. */
  taken(request: string | undefined): void;
};

export type GrpcRequestsOptions = {
  readonly budget: RequestBudget;
  readonly log: Log;
  readonly messageBytes: number;
  /** Paths of the methods whose requests are a stream. */
  readonly streamPaths: ReadonlySet<string>;
};

/** A window of HTTP/2, and the buffer of its stream. */
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

  /** A stream of requests is counted from the first byte on. */
  function readStream(stream: ServerHttp2Stream, name: string): void {
    const body = open(stream, "taken");
    streams.set(name, body);
    const end = () => {
      streams.delete(name);
      body.end();
    };
    stream.on("data", body.received).on("close", end); // neither throws
  }

  /** A single request is mostly small and arrives in one piece with its end: only one that does not is counted. */
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

/** Ends a stream of HTTP/2 with advice to slow down; gRPC clients see RESOURCE_EXHAUSTED. */
function cutStream(stream: ServerHttp2Stream): void {
  stream.close(constants.NGHTTP2_ENHANCE_YOUR_CALM);
  stream.destroy(); // otherwise it would keep what arrived and was not read
}
