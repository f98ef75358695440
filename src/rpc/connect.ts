/**
 * The HTTP front end: Connect and gRPC-Web over HTTP/1.1 for curl, browsers and proxies, and the pages. The only file
 * that imports connect-node.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
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
import type { Message, Registry } from "@bufbuild/protobuf";
import { afterRunning, type Clock } from "../clock.ts";
import { MillpondError, messageOf, refusal } from "../errors.ts";
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
import type { FrontEnd, FrontEndLimits } from "./front-end.ts";
import { answerError, answerJson, answerPreflight, isPreflight, shareWith } from "./http-answer.ts";
import { createHttpServer } from "./http.ts";
import { readRequest } from "./http-request.ts";
import { createOriginCheck, type OriginOptions } from "./origin.ts";
import { answerPage, type Page, pageOf, type Pages } from "./pages.ts";
import type { RequestBounds } from "./request-bounds.ts";
import type { AnyStream, AnyUnary, Served } from "./served.ts";
import { detailsOf, errorJson, pushbackKey, toMillpondError, trailersOf } from "./status.ts";
import { boundTimeouts } from "./timeouts.ts";

export type ConnectOptions = OriginOptions & {
  /** 0: any free port. */
  readonly port: number;
  readonly limits: FrontEndLimits;
  readonly budget: RequestBudget;
  readonly connections: Pick<ConnectionLimits, "admit">;
  /** Types of tasks' inputs and outputs, to convert them from and to JSON. */
  readonly types: Registry;
  readonly pages: Pages;
  /** Address of the gRPC port, for refusals of calls that need it. */
  readonly grpcAddress: () => string;
  /** Called for each connection that begins with HTTP/2. */
  readonly onHttp2: () => void;
  readonly clock: Clock;
  readonly log: Log;
  readonly random: () => number;
};

/** Requests may be compressed with gzip; responses never are. */
const gzip = { acceptCompression: [compressionGzip], compressMinBytes: 0xffff_ffff };

/** Headers that pages of `http.origins` may send and read. */
const allowedHeaders = [...cors.allowedHeaders, clientKey, ...traceKeys];
const exposedHeaders = [...cors.exposedHeaders, pushbackKey];

/** The HTTP request of a call and its decoded message. Connect itself gets an empty message. */
type Incoming = { readonly request: IncomingMessage; message?: Message };
const incomingKey = createContextKey<Incoming | undefined>(undefined);

export function createConnectFrontEnd(services: readonly Served[], options: ConnectOptions): FrontEnd {
  const { limits, budget, pages, clock, log, random } = options;
  const originCheck = createOriginCheck(options);
  const bounds: RequestBounds = { maxValues: limits.values, types: options.types };
  const maxBytes = limits.messageBytes;
  const router = createConnectRouter({
    ...{ grpc: false, readMaxBytes: maxBytes, writeMaxBytes: maxBytes, ...gzip },
    jsonOptions: { registry: options.types },
  });
  addRoutes(router, services, options);
  const handlers = new Map(router.handlers.map((handler) => [handler.requestPath, handler]));

  // Replaces connect-node's adapter. In addition it counts and decodes the request, answers invalid calls with advice,
  // and logs no stack when a client disconnects.
  const serveRpc = (request: IncomingMessage, response: ServerResponse) => {
    const handler = handlers.get(request.url?.split("?", 1)[0] ?? "");
    const refuse = (status: number, why: string) =>
      answerJson(response, status, errorJson(refusal("not_served", [why])));
    if (!handler) return refuse(404, nothingAt(request.url ?? ""));
    if (request.method !== "POST") {
      response.setHeader("allow", "POST");
      return refuse(405, `RPCs are called by POST, and the method is ${request.method}: use POST`);
    }
    const { methodKind, name, input } = handler.method;
    if (methodKind === "bidi_streaming") {
      const why = `${name} is a bidirectional stream, which HTTP/1.1 does not support`;
      return refuse(505, `${why}: use gRPC on ${options.grpcAddress()}`);
    }
    boundTimeouts(request.headers);
    const incoming: Incoming = { request };
    const context = createContextValues().set(incomingKey, incoming);
    const universal = universalRequestFromNodeRequest(request, response, undefined, context);
    const body = readRequest(universal.header, counted(request, { budget, messageBytes: maxBytes }), {
      ...{ type: input, bounds, maxBytes },
      onMessage(message) {
        incoming.message = message;
      },
    });
    void handler({ ...universal, body: asConnectErrors(body, options) })
      .then((answer) => {
        if (answer.status === 415) {
          const error = unsupported(request, methodKind !== "unary", options);
          return answerError(request, response, error, { random, status: 415 });
        }
        return universalResponseToNodeResponse(answer, response);
      })
      .catch((error: unknown) => {
        if (!universal.signal.aborted) fail(error, request, response);
        else log.debug({ rpc: handler.requestPath, error: messageOf(error) }, "a response was interrupted");
      });
  };
  const serve = (request: IncomingMessage, response: ServerResponse) => {
    response.on("error", ignore);
    try {
      const page = pageOf(pages, request);
      const answer = (found: Page) =>
        void answerPage(found, request, response).catch((error: unknown) => fail(error, request, response));
      const { host } = request.headers;
      if (page?.isForProbes && host === undefined) return answer(page);
      const origin = originCheck.admit({ host, origin: request.headers.origin });
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
    (error: unknown, request: IncomingMessage, response: ServerResponse) =>
      answerError(request, response, toMillpondError(error, log), { random }),
    (_error, _request, response) => response.destroy(),
  );
  const server = createHttpServer(serve, {
    ...{ host: options.host, port: options.port, connections: options.connections },
    // twice the limit: headers slightly over it get our refusal, and Node cuts only those far over it
    headBytes: 2 * limits.metadataBytes,
    headMs: limits.slowSenderMs,
    maxUnanswered: limits.streams,
    http2Advice: () => `this port speaks HTTP/1.1: native gRPC is on ${options.grpcAddress()}`,
    onHttp2: options.onHttp2,
    log,
  });

  return {
    name: "HTTP",
    address: server.address,
    start: server.listen,
    drain: server.drain,
    async stop() {
      const cancel = clock.after(limits.closeMs, () => server.destroy());
      await server.close();
      cancel();
    },
  };
}

/** A refusal that lists every content type the method accepts. */
function unsupported(request: IncomingMessage, isStream: boolean, { grpcAddress }: ConnectOptions): MillpondError {
  const connect = isStream
    ? "application/connect+json, application/connect+proto"
    : "application/json, application/proto";
  const served = `this method speaks ${connect}, application/grpc-web, application/grpc-web+proto; native gRPC is on ${grpcAddress()}`;
  const contentType = (request.headers["content-type"] ?? "").slice(0, 100);
  return refusal("unsupported_content_type", [contentType, served]);
}

function addRoutes(router: ConnectRouter, services: readonly Served[], options: ConnectOptions): void {
  for (const { service, functions } of services) {
    for (const method of service.methods) {
      const implement = functions[method.localName];
      const call =
        method.methodKind === "unary" ? unary(implement as AnyUnary, options) : stream(implement as AnyStream, options);
      router.rpc(method as never, call as never);
    }
  }
}

/** Passes the bytes through. A refusal is converted to an error that Connect sends. */
async function* asConnectErrors(body: AsyncIterable<Uint8Array>, options: ConnectOptions): AsyncGenerator<Uint8Array> {
  try {
    yield* body;
  } catch (error) {
    throw error instanceof MillpondError ? connectError(error, options) : error;
  }
}

const maxPathShown = 100;

function nothingAt(path: string): string {
  const shown = JSON.stringify(path.slice(0, maxPathShown));
  return `nothing is served at ${shown}: RPCs have paths such as /millpond.v1.WorkerPoolService/Submit, and / lists the pages`;
}

function unary(implement: AnyUnary, options: ConnectOptions) {
  return async (_empty: Message, context: HandlerContext): Promise<Message> => {
    try {
      return await implement(messageOfCall(context), contextOf(context, options));
    } catch (error) {
      throw connectError(error, options);
    }
  };
}

function stream(implement: AnyStream, options: ConnectOptions) {
  const { clock, limits, log } = options;
  return async function* (_empty: unknown, context: HandlerContext): AsyncGenerator<Message> {
    const end = () => void context.values.get(incomingKey)?.request.socket.destroy();
    const logAndEnd = () => {
      const client = context.requestHeader.get(clientKey) ?? anonymous;
      log.warn({ client, rpc: context.method.name }, "a client does not read its response: the call is cut off");
      end();
    };
    const cut = guarded(log, "cutting a call", logAndEnd, end);
    try {
      for await (const response of implement(messageOfCall(context), contextOf(context, options))) {
        // Connect requests the next response once this one is written
        const cancel = afterRunning(clock, limits.slowReaderMs, cut);
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

function messageOfCall({ values }: HandlerContext): Message {
  const message = values.get(incomingKey)?.message;
  if (!message) throw new Error("Connect called a method whose request was not read");
  return message;
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
