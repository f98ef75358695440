/**
 * The HTTP front end: Connect and gRPC-Web over HTTP/1.1, for curl, browsers and proxies, and the pages beside the RPCs. The
 * only file that knows connect-node.
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
import type { Clock } from "../clock.ts";
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
import { detailsOf, pushbackKey, toMillpondError, trailersOf } from "./status.ts";
import { boundTimeouts } from "./timeouts.ts";

export type ConnectOptions = OriginOptions & {
  /** 0: any free port. */
  readonly port: number;
  readonly limits: FrontEndLimits;
  readonly budget: RequestBudget;
  readonly connections: Pick<ConnectionLimits, "admit">;
  /** Types of tasks' inputs and outputs, so that they can be read and shown as JSON. */
  readonly types: Registry;
  readonly pages: Pages;
  /** Where native gRPC is served, for the refusal of what needs it. */
  readonly grpcAddress: () => string;
  /** Called for each connection that begins with HTTP/2. */
  readonly onHttp2: () => void;
  readonly clock: Clock;
  readonly log: Log;
  readonly random: () => number;
};

/** Requests may come in gzip; responses go out as they are, and never compressed. */
const gzip = { acceptCompression: [compressionGzip], compressMinBytes: 0xffff_ffff };

/** Headers that pages of `http.origins` may send and read. */
const allowedHeaders = [...cors.allowedHeaders, clientKey, ...traceKeys];
const exposedHeaders = [...cors.exposedHeaders, pushbackKey];

/** What a call came with, and its message: Connect gets an empty one. */
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

  // does what connect-node's own adapter does; beyond that it counts and reads the request, answers mistakes with advice, and logs
  // no stack for each client that has gone
  const serveRpc = (request: IncomingMessage, response: ServerResponse) => {
    const handler = handlers.get(request.url?.split("?", 1)[0] ?? "");
    if (!handler) return answerJson(response, 404, { code: "unimplemented", message: nothingAt(request.url ?? "") });
    if (request.method !== "POST") {
      response.setHeader("allow", "POST");
      return answerJson(response, 405, {
        code: "unimplemented",
        message: `${request.method} is not for RPCs: use POST`,
      });
    }
    const { methodKind, name, input } = handler.method;
    if (methodKind === "bidi_streaming") {
      const message = `${name} sends in both directions, which HTTP/1.1 cannot: use gRPC on ${options.grpcAddress()}`;
      return answerJson(response, 505, { code: "unimplemented", message });
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
        else log.debug({ rpc: handler.requestPath, error: messageOf(error) }, "an answer was cut short");
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
    // twice the limit: a head that is a little over gets our refusal, and only one that is far over is cut by Node
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

/** The refusal names every content type that the method accepts. */
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

/** The same bytes. A refusal that ends them becomes an error that Connect passes on. */
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
  return `nothing is served at ${shown}: RPCs are at paths such as /millpond.v1.WorkerPoolService/Submit, and / says what else there is`;
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
    const sayAndEnd = () => {
      const client = context.requestHeader.get(clientKey) ?? anonymous;
      log.warn({ client, rpc: context.method.name }, "a client reads nothing: its call is cut");
      end();
    };
    const cut = guarded(log, "cutting a call", sayAndEnd, end);
    try {
      for await (const response of implement(messageOfCall(context), contextOf(context, options))) {
        // Connect asks for the next one once this is written
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
