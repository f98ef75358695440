/**
 * The HTTP front end: Connect, gRPC-Web and gRPC over HTTP/1.1 and HTTP/2 on one port, for curl, browsers and proxies,
 * and the pages beside the RPCs. The only file that knows connect-node.
 */
import { AsyncLocalStorage } from "node:async_hooks";
import { createServer as createHttp1Server } from "node:http";
import { constants as http2, createServer as createHttp2Server } from "node:http2";
import {
  ConnectError,
  type ConnectRouter,
  cors,
  createConnectRouter,
  createContextKey,
  createContextValues,
  type HandlerContext,
} from "@connectrpc/connect";
import {
  compressionGzip,
  universalRequestFromNodeRequest,
  universalResponseToNodeResponse,
} from "@connectrpc/connect-node";
import type { DescMessage, Message, Registry } from "@bufbuild/protobuf";
import type { Clock } from "../clock.ts";
import { type MillpondError, messageOf, refusal, StartError } from "../errors.ts";
import type { Log } from "../log.ts";
import {
  anonymous,
  type CallContext,
  checkMetadata,
  clientKey,
  parseClient,
  parseDeadline,
  traceKeys,
  traceOfCall,
} from "./call.ts";
import type { ConnectionLimits } from "./connection-limits.ts";
import { counted } from "./arrival/http-requests.ts";
import type { RequestBudget } from "./arrival/request-budget.ts";
import { guarded, ignore } from "./boundary.ts";
import { checkedBody } from "./checked-body.ts";
import { isEnveloped } from "./envelopes.ts";
import type { FrontEnd, FrontEndLimits } from "./front-end.ts";
import {
  answerError,
  answerHeaders,
  answerJson,
  answerPreflight,
  type HttpRequest,
  type HttpResponse,
  isPreflight,
  shareWith,
} from "./http-answer.ts";
import { createDualServer } from "./http.ts";
import { readJson } from "./json-request.ts";
import { createOriginCheck, type OriginOptions } from "./origin.ts";
import { answerPage, type Page, pageOf, type Pages } from "./pages.ts";
import { checkBinary, type RequestBounds } from "./request-bounds.ts";
import type { AnyStream, AnyUnary, Served } from "./served.ts";
import { detailsOf, pushbackKey, toMillpondError, trailersOf } from "./status.ts";
import { boundTimeouts } from "./timeouts.ts";
import { trailersOnly } from "./trailers-only.ts";
import { withUnreadJson } from "./unread-json.ts";

export type ConnectOptions = OriginOptions & {
  /** 0: any free port. */
  readonly port: number;
  readonly limits: FrontEndLimits;
  readonly budget: RequestBudget;
  readonly connections: Pick<ConnectionLimits, "admit">;
  /** Types of tasks' inputs and outputs, so that they can be read and shown as JSON. */
  readonly types: Registry;
  readonly pages: Pages;
  readonly clock: Clock;
  readonly log: Log;
  readonly random: () => number;
};

/** Requests may come in gzip; responses go out as they are, and never compressed. */
const gzip = { acceptCompression: [compressionGzip], compressMinBytes: 0xffff_ffff };

/** What pages of other origins may send and read, where they may call at all. */
const allowedHeaders = [...cors.allowedHeaders, clientKey, ...traceKeys];
const exposedHeaders = [...cors.exposedHeaders, pushbackKey];

/** The request that a call came with. */
const requestKey = createContextKey<HttpRequest | undefined>(undefined);

export function createConnectFrontEnd(services: readonly Served[], options: ConnectOptions): FrontEnd {
  const { host, limits, budget, pages, clock, log, random } = options;
  const originCheck = createOriginCheck(options);
  const bounds: RequestBounds = { maxValues: limits.values, types: options.types };
  const router = createConnectRouter({
    ...{ readMaxBytes: limits.messageBytes, writeMaxBytes: limits.messageBytes, ...gzip },
  });
  addRoutes(router, services, bounds, options);
  const handlers = new Map(router.handlers.map((handler) => [handler.requestPath, handler]));
  const inputs = new Map(
    services.flatMap(({ service }) => service.methods.map(({ input }) => [input.typeName, input])),
  );
  // what connect-node's own adapter does, but for the log: it prints the stack of each answer whose client has gone
  const serveRpc = (request: HttpRequest, response: HttpResponse) => {
    const handler = handlers.get(request.url?.split("?", 1)[0] ?? "");
    if (!handler) return answerJson(response, 404, { code: "unimplemented", message: nothingAt(request.url ?? "") });
    boundTimeouts(request.headers);
    const context = createContextValues().set(requestKey, request);
    const universal = universalRequestFromNodeRequest(request, response, undefined, context);
    // Connect takes the memory of a whole body when its length is announced, before the budget has let any of it in
    if (Number(universal.header.get("content-length")) <= limits.messageBytes)
      universal.header.delete("content-length");
    const body = counted(request, universal.body as AsyncIterable<Uint8Array>, {
      ...{ budget, messageBytes: limits.messageBytes },
      isStream: handler.method.methodKind === "bidi_streaming",
    });
    const input = inputs.get(handler.method.input.typeName) ?? handler.method.input;
    const checked = withCheckedBody({ ...universal, body }, input, bounds, options);
    const isStream = handler.method.methodKind !== "unary";
    void jsonRequests
      .run([], () => handler(checked))
      .then(trailersOnly)
      .then((answer) => {
        if (answer.status === 415)
          return answerError(request, response, unsupported(request, isStream), { random, status: 415 });
        if (answer.status === 405) {
          response.setHeader("allow", answer.header?.get("allow") ?? "POST");
          return answerJson(response, 405, {
            code: "unimplemented",
            message: `${request.method} is not for RPCs: use POST`,
          });
        }
        if (answer.body) return universalResponseToNodeResponse(answer, response);
        return answerHeaders(response, answer.status, answer.header ?? []);
      })
      .catch((error: unknown) => {
        if (!universal.signal.aborted) fail(error, request, response);
        else log.debug({ rpc: handler.requestPath, error: messageOf(error) }, "an answer was cut short");
      });
  };
  const serve = (request: HttpRequest, response: HttpResponse) => {
    response.on("error", ignore);
    try {
      const page = pageOf(pages, request);
      const answer = (found: Page) =>
        void answerPage(found, request, response).catch((error: unknown) => fail(error, request, response));
      const authority = "authority" in request ? request.authority : request.headers.host;
      if (page?.isForProbes && authority === undefined) return answer(page);
      const origin = originCheck.admit({ host: authority, origin: request.headers.origin });
      if (origin !== null) shareWith(origin, response, exposedHeaders);
      if (origin !== null && isPreflight(request)) answerPreflight(response, { ...cors, allowedHeaders });
      else if (page) answer(page);
      else serveRpc(request, response);
    } catch (error) {
      fail(error, request, response);
    }
  };
  const fail = guarded(
    log,
    "an answer",
    (error: unknown, request: HttpRequest, response: HttpResponse) =>
      answerError(request, response, toMillpondError(error, log), { random }),
    (_error, _request, response) => response.destroy(),
  );
  // twice what is allowed: what is a little over gets an answer of ours, and only what is far over is cut by Node
  const headerBytes = 2 * limits.metadataBytes;
  const server = createDualServer(
    createHttp1Server(
      {
        maxHeaderSize: headerBytes,
        ...{ headersTimeout: limits.slowSenderMs, requestTimeout: 0 }, // the budget cuts bodies
        connectionsCheckingInterval: limits.slowSenderMs / 10,
      },
      serve,
    ),
    createHttp2Server(
      {
        maxSessionMemory: limits.sessionMemoryMiB,
        settings: { maxConcurrentStreams: limits.streams, maxHeaderListSize: headerBytes },
      },
      serve,
    ),
    {
      ...{ connections: options.connections, clock, log },
      firstBytesMs: limits.slowSenderMs,
      keepalive: { everyMs: limits.keepaliveMs, timeoutMs: limits.keepaliveTimeoutMs },
    },
  );
  let port = options.port;
  const address = () => `${host.includes(":") ? `[${host}]` : host}:${port}`;

  return {
    name: "HTTP",
    address,
    async start() {
      try {
        port = await server.listen(host, port);
      } catch (error) {
        throw new StartError(
          `HTTP cannot listen on ${address()}: ${messageOf(error)}: is another server running? Choose another with --http-port`,
          { cause: error },
        );
      }
    },
    drain: server.drain,
    async stop() {
      const cancel = clock.after(limits.closeMs, () => server.destroy());
      await server.close();
      cancel();
    },
  };
}

/** Every content type that this method can be called with begins so. */
function unsupported(request: HttpRequest, isStream: boolean): MillpondError {
  const connect = isStream
    ? "application/connect+json, application/connect+proto"
    : "application/json, application/proto";
  const served = `this method speaks ${connect}, application/grpc-web, application/grpc-web+proto, application/grpc`;
  const contentType = (request.headers["content-type"] ?? "").slice(0, 100);
  return refusal("unsupported_content_type", [contentType, served]);
}

function addRoutes(
  router: ConnectRouter,
  services: readonly Served[],
  bounds: RequestBounds,
  options: ConnectOptions,
): void {
  for (const { service, functions } of services) {
    for (const method of service.methods) {
      const implement = functions[method.localName];
      const call =
        method.methodKind === "unary" ? unary(implement as AnyUnary, options) : stream(implement as AnyStream, options);
      const textDecoder = { decode: (bytes: Uint8Array) => readAhead(method.input, bytes, bounds, options) };
      const unread = { ...method, input: withUnreadJson(method.input) };
      router.rpc(unread as never, call as never, { jsonOptions: { registry: bounds.types, textDecoder } as never });
    }
  }
}

/** Requests of the running call that were read from JSON, in their order. */
const jsonRequests = new AsyncLocalStorage<Message[]>();

/**
 * Connect turns what protobuf-es throws into an error without details, before any code of ours. So requests in JSON are
 * read here, where Connect wants their text, and what it gets is the text of an empty one (`createJsonSerialization`).
 * It passes on a ConnectError.
 */
function readAhead(input: DescMessage, bytes: Uint8Array, bounds: RequestBounds, options: ConnectOptions): string {
  try {
    jsonRequests.getStore()?.push(readJson(input, bytes, bounds));
    return "{}";
  } catch (error) {
    throw connectError(error, options);
  }
}

/** The request as it came, for one that Connect handed over. */
function asSent<M>(request: M): M {
  return (jsonRequests.getStore()?.shift() as M | undefined) ?? request;
}

async function* allAsSent(requests: AsyncIterable<Message>): AsyncGenerator<Message> {
  for await (const request of requests) yield asSent(request);
}

/** The request with a body of which no message goes on that is beyond the bounds. That of JSON is read by `readAhead`. */
function withCheckedBody(
  request: UniversalServerRequest,
  input: DescMessage,
  bounds: RequestBounds,
  options: ConnectOptions,
): UniversalServerRequest {
  const contentType = request.header.get("content-type") ?? "";
  const isGzip = encodingKeys.some((key) => request.header.get(key) === "gzip");
  const isJson = /json/i.test(contentType);
  if (isJson && !isGzip) return request;
  const check = (message: Uint8Array) => {
    if (isJson) return;
    try {
      checkBinary(input, message, bounds);
    } catch (error) {
      throw connectError(error, options);
    }
  };
  const body = request.body as AsyncIterable<Uint8Array>;
  const maxBytes = options.limits.messageBytes;
  const notGzip = (why: string) =>
    connectError(refusal("malformed_request", [`it says that it is in gzip, and cannot be inflated: ${why}`]), options);
  const checks = { isEnveloped: isEnveloped(contentType), isGzip, maxBytes, check, notGzip };
  return { ...request, body: checkedBody(body, checks) };
}

const maxPathShown = 100;

function nothingAt(path: string): string {
  const shown = JSON.stringify(path.slice(0, maxPathShown));
  return `nothing is served at ${shown}: RPCs are at paths such as /millpond.v1.WorkerPoolService/Submit, and / says what else there is`;
}

/** Where the encoding of a request's messages stands: in gRPC, in streams of Connect, and in its unary calls. */
const encodingKeys = ["grpc-encoding", "connect-content-encoding", "content-encoding"];

type UniversalServerRequest = ReturnType<typeof universalRequestFromNodeRequest>;

function unary(implement: AnyUnary, options: ConnectOptions) {
  return async (request: Message, context: HandlerContext): Promise<Message> => {
    try {
      return await implement(asSent(request), contextOf(context, options));
    } catch (error) {
      throw connectError(error, options);
    }
  };
}

function stream(implement: AnyStream, options: ConnectOptions) {
  const { clock, limits, log } = options;
  return async function* (request: unknown, context: HandlerContext): AsyncGenerator<Message> {
    const end = () => cutOff(context.values.get(requestKey));
    const sayAndEnd = () => {
      const client = context.requestHeader.get(clientKey) ?? anonymous;
      log.warn({ client, rpc: context.method.name }, "a client reads nothing: its call is cut");
      end();
    };
    const cut = guarded(log, "cutting a call", sayAndEnd, end);
    try {
      const sent = isIterable(request) ? allAsSent(request) : asSent(request);
      for await (const response of implement(sent, contextOf(context, options))) {
        // Connect asks for the next one when this is written
        const cancel = clock.after(limits.slowReaderMs, cut);
        try {
          yield response;
        } finally {
          cancel();
        }
      }
    } catch (error) {
      if (context.signal.aborted || error instanceof ConnectError) throw error;
      throw connectError(error, options);
    }
  };
}

function isIterable(request: unknown): request is AsyncIterable<Message> {
  return typeof request === "object" && request !== null && Symbol.asyncIterator in request;
}

/** Ends a call whose client reads nothing: only its stream where there are several, else its connection. */
function cutOff(request: HttpRequest | undefined): void {
  if (request && "stream" in request) request.stream.close(http2.NGHTTP2_CANCEL);
  else request?.socket.destroy();
}

function contextOf(
  { requestHeader, protocolName, signal, timeoutMs }: HandlerContext,
  { limits, clock }: ConnectOptions,
): CallContext {
  checkMetadata(requestHeader.entries(), limits.metadataBytes);
  const leftMs = timeoutMs();
  return {
    client: parseClient(requestHeader.get(clientKey)),
    rpcSystem: protocolName === "connect" ? "connectrpc" : "grpc",
    trace: traceOfCall((key) => requestHeader.get(key)),
    signal,
    deadlineAt: parseDeadline(leftMs === undefined ? undefined : clock.now() + leftMs),
  };
}

function connectError(thrown: unknown, { log, random }: Pick<ConnectOptions, "log" | "random">): ConnectError {
  const error = toMillpondError(thrown, log);
  const details = detailsOf(error).map(({ desc, value }) => ({ desc, value: value as never }));
  return new ConnectError(
    error.message,
    error.code,
    new Headers(trailersOf(error, random).map(([key, value]) => [key, value])),
    details,
  );
}
